/*
 * The cell map: who lives where, and which maps are refused. Maps are built
 * field by field, so that wrong ones can be built as easily as right ones.
 */
#include "router/cellmap.h"

#include "ops/kit/error.h"

#include <string.h>

/* ---- building maps ---- */

typedef struct Cells {
    gint32 cell;
    const char *host;
    gint32 port;
} Cells;

typedef struct Ranges {
    gint32 first;
    gint32 last;
    gint32 cell;
} Ranges;

typedef struct Homes {
    gint64 user;
    gint32 cell;
} Homes;

#define FEW 3

/* A map as it might be sent; lists end with an element that is all zero. */
typedef struct Sketch {
    const char *name;
    gint64 epoch;
    Cells cells[FEW];
    Ranges ranges[FEW];
    Homes homes[FEW];
    const char *refused; /* a part of the message; NULL: it is taken */
} Sketch;

static void
put_cells(GByteArray *out, const Cells *cells)
{
    guint32 n = 0;
    while (n < FEW && cells[n].host != NULL) {
        n++;
    }
    wire_write_field(out, WIRE_LIST, 2);
    wire_write_list(out, WIRE_STRUCT, n);
    for (guint32 i = 0; i < n; i++) {
        wire_field_i32(out, 1, cells[i].cell);
        wire_field_string(out, 2, cells[i].host);
        wire_field_i32(out, 3, cells[i].port);
        wire_write_stop(out);
    }
}

static void
put_ranges(GByteArray *out, const Ranges *ranges)
{
    guint32 n = 0;
    while (n < FEW && (ranges[n].first != 0 || ranges[n].last != 0)) {
        n++;
    }
    wire_write_field(out, WIRE_LIST, 3);
    wire_write_list(out, WIRE_STRUCT, n);
    for (guint32 i = 0; i < n; i++) {
        wire_field_i32(out, 1, ranges[i].first);
        wire_field_i32(out, 2, ranges[i].last);
        wire_field_i32(out, 3, ranges[i].cell);
        wire_write_stop(out);
    }
}

static void
put_homes(GByteArray *out, const Homes *homes)
{
    guint32 n = 0;
    while (n < FEW && homes[n].user != 0) {
        n++;
    }
    wire_write_field(out, WIRE_MAP, 4);
    wire_write_map(out, WIRE_I64, WIRE_I32, n);
    for (guint32 i = 0; i < n; i++) {
        wire_write_i64(out, homes[i].user);
        wire_write_i32(out, homes[i].cell);
    }
}

static GByteArray *
sketch_encode(const Sketch *sketch)
{
    GByteArray *out = g_byte_array_new();
    wire_field_i64(out, 1, sketch->epoch);
    put_cells(out, sketch->cells);
    put_ranges(out, sketch->ranges);
    put_homes(out, sketch->homes);
    wire_write_stop(out);
    return out;
}

static CellMap *
decode(const GByteArray *bytes, GError **error)
{
    return cellmap_decode((WireBytes){bytes->data, bytes->len}, error);
}

/* ---- tests ---- */

/* A user's slot never changes: these were computed with another XXH64. */
static void
test_slots(void)
{
    static const struct {
        gint64 user;
        guint slot;
    } table[] = {
        {1, 2453},
        {2, 3504},
        {3, 2113},
        {42, 851},
        {1000, 2633},
        {4096, 367},
        {G_GINT64_CONSTANT(2147483648), 2996},
        {G_GINT64_CONSTANT(9007199254740993), 614},
        {G_MAXINT64, 1804},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_assert_cmpuint(cellmap_slot((UserId){table[i].user}), ==,
                         table[i].slot);
    }
}

/* Equal shares differ by one slot at most, and every slot has a cell. */
static void
test_even(void)
{
    char host[] = "127.0.0.1";
    CellMapEntry cells[16];
    for (guint n = 1; n <= G_N_ELEMENTS(cells); n++) {
        guint count[16] = {0};
        for (guint i = 0; i < n; i++) {
            cells[i] = (CellMapEntry){.cell = 15 - i, host, 1};
        }
        g_autoptr(CellMap) map = cellmap_even(7, cells, n);
        for (guint slot = 0; slot < SLOTS; slot++) {
            count[cellmap_slot_home(map, slot)]++;
        }
        for (guint i = 0; i < n; i++) {
            g_assert_cmpuint(count[15 - i], >=, SLOTS / n);
            g_assert_cmpuint(count[15 - i], <=, SLOTS / n + 1);
        }
        g_assert_cmpint(cellmap_epoch(map), ==, 7);
    }
}

static const Sketch sketches[] = {
    {"one cell", 1, {{0, "a", 1}}, {{0, 4095, 0}}, {{0}}, NULL},
    {"highest numbers",
     G_MAXINT64,
     {{CELL_MAX, "cell.example", 65535}},
     {{0, 4095, CELL_MAX}},
     {{G_MAXINT64, CELL_MAX}},
     NULL},
    {"a cell without slots",
     2,
     {{3, "a", 1}, {1, "b", 1}},
     {{0, 4095, 1}},
     {{5, 3}, {4, 1}},
     NULL},
    {"three ranges",
     2,
     {{0, "a", 1}, {1, "b", 1}},
     {{0, 9, 0}, {10, 10, 1}, {11, 4095, 0}},
     {{0}},
     NULL},
    {"epoch 0", 0, {{0, "a", 1}}, {{0, 4095, 0}}, {{0}}, "epoch 0"},
    {"epoch below 0", -1, {{0, "a", 1}}, {{0, 4095, 0}}, {{0}}, "epoch -1"},
    {"no cells", 1, {{0}}, {{0, 4095, 0}}, {{0}}, "0 cells"},
    {"cell below 0", 1, {{-1, "a", 1}}, {{0, 4095, -1}}, {{0}}, "cell -1"},
    {"cell too high",
     1,
     {{4096, "a", 1}},
     {{0, 4095, 4096}},
     {{0}},
     "cell 4096"},
    {"cell twice",
     1,
     {{2, "a", 1}, {2, "b", 1}},
     {{0, 4095, 2}},
     {{0}},
     "listed twice"},
    {"no host", 1, {{0, "", 1}}, {{0, 4095, 0}}, {{0}}, "host of cell 0"},
    {"host of bad UTF-8",
     1,
     {{0, "\xff", 1}},
     {{0, 4095, 0}},
     {{0}},
     "host of cell 0"},
    {"port 0", 1, {{0, "a", 0}}, {{0, 4095, 0}}, {{0}}, "port 0"},
    {"port too high",
     1,
     {{0, "a", 65536}},
     {{0, 4095, 0}},
     {{0}},
     "port 65536"},
    {"no ranges", 1, {{0, "a", 1}}, {{0}}, {{0}}, "slots from 0 on"},
    {"a first slot without cell",
     1,
     {{0, "a", 1}},
     {{1, 4095, 0}},
     {{0}},
     "slot 1 instead of 0"},
    {"a last slot without cell",
     1,
     {{0, "a", 1}},
     {{0, 4094, 0}},
     {{0}},
     "slots from 4095 on"},
    {"a hole",
     1,
     {{0, "a", 1}},
     {{0, 9, 0}, {11, 4095, 0}},
     {{0}},
     "slot 11 instead of 10"},
    {"an overlap",
     1,
     {{0, "a", 1}},
     {{0, 9, 0}, {9, 4095, 0}},
     {{0}},
     "slot 9 instead of 10"},
    {"too many slots", 1, {{0, "a", 1}}, {{0, 4096, 0}}, {{0}}, "0 to 4096"},
    {"backwards", 1, {{0, "a", 1}}, {{0, 9, 0}, {10, 8, 0}}, {{0}}, "10 to 8"},
    {"a range of an unknown cell",
     1,
     {{0, "a", 1}},
     {{0, 4095, 1}},
     {{0}},
     "unknown cell 1"},
    {"an override for no user",
     1,
     {{0, "a", 1}},
     {{0, 4095, 0}},
     {{-7, 0}},
     "user -7"},
    {"an override to an unknown cell",
     1,
     {{0, "a", 1}},
     {{0, 4095, 0}},
     {{7, 9}},
     "unknown cell 9"},
    {"two overrides for one user",
     1,
     {{0, "a", 1}, {1, "a", 2}},
     {{0, 4095, 0}},
     {{7, 0}, {8, 0}, {7, 1}},
     "two overrides"},
};

/* What is wrong with a map is found, and said. */
static void
test_table(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(sketches); i++) {
        const Sketch *sketch = &sketches[i];
        g_autoptr(GByteArray) bytes = sketch_encode(sketch);
        g_autoptr(GError) error = NULL;
        g_autoptr(CellMap) map = decode(bytes, &error);
        g_test_message("%s: %s", sketch->name,
                       error != NULL ? error->message : "taken");
        if (sketch->refused == NULL) {
            g_assert_no_error(error);
            g_assert_cmpint(cellmap_epoch(map), ==, sketch->epoch);
        } else {
            g_assert_error(error, COMB_ERROR, COMB_ERROR_INPUT);
            g_assert_nonnull(strstr(error->message, sketch->refused));
        }
    }
}

/* An override wins over the slot; nobody else is touched. */
static void
test_overrides(void)
{
    static const Sketch sketch = {"",
                                  1,
                                  {{0, "a", 1}, {9, "b", 2}},
                                  {{0, 4095, 0}},
                                  {{3, 9}, {1, 9}, {G_MAXINT64, 9}},
                                  NULL};
    g_autoptr(GByteArray) bytes = sketch_encode(&sketch);
    g_autoptr(CellMap) map = decode(bytes, NULL);
    g_assert_cmpuint(cellmap_home(map, (UserId){1}), ==, 9);
    g_assert_cmpuint(cellmap_home(map, (UserId){2}), ==, 0);
    g_assert_cmpuint(cellmap_home(map, (UserId){3}), ==, 9);
    g_assert_cmpuint(cellmap_home(map, (UserId){4}), ==, 0);
    g_assert_cmpuint(cellmap_home(map, (UserId){G_MAXINT64}), ==, 9);
    g_assert_cmpuint(cellmap_slot_home(map, cellmap_slot((UserId){1})), ==, 0);
    g_assert_cmpstr(cellmap_find(map, 9)->host, ==, "b");
    g_assert_null(cellmap_find(map, 1));
    g_assert_null(cellmap_find(map, CELL_MAX + 1));
}

/* Encoding and decoding again changes nothing. */
static void
test_round_trip(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(sketches); i++) {
        g_autoptr(GByteArray) bytes = sketch_encode(&sketches[i]);
        g_autoptr(GByteArray) once = g_byte_array_new();
        g_autoptr(GByteArray) twice = g_byte_array_new();
        g_autoptr(CellMap) map = decode(bytes, NULL);
        if (map == NULL) {
            continue;
        }
        cellmap_encode(map, once);
        g_autoptr(CellMap) again = decode(once, NULL);
        g_assert_nonnull(again);
        cellmap_encode(again, twice);
        g_assert_cmpuint(once->len, ==, twice->len);
        g_assert_cmpint(memcmp(once->data, twice->data, once->len), ==, 0);
        for (guint slot = 0; slot < SLOTS; slot++) {
            g_assert_cmpuint(cellmap_slot_home(map, slot), ==,
                             cellmap_slot_home(again, slot));
        }
    }
}

/* New addresses, the next epoch, and nobody moves. */
static void
test_readdress(void)
{
    static const Sketch sketch = {
        "",       4,   {{0, "a", 1}, {1, "b", 2}}, {{0, 9, 1}, {10, 4095, 0}},
        {{3, 1}}, NULL};
    char host[] = "c";
    CellMapEntry cells[] = {{0, host, 5}, {1, host, 6}, {2, host, 7}};
    g_autoptr(GByteArray) bytes = sketch_encode(&sketch);
    g_autoptr(CellMap) map = decode(bytes, NULL);
    g_autoptr(CellMap) next = cellmap_readdress(map, cells, 3);
    g_assert_cmpint(cellmap_epoch(next), ==, 5);
    g_assert_cmpuint(cellmap_find(next, 1)->port, ==, 6);
    g_assert_cmpuint(cellmap_home(next, (UserId){3}), ==, 1);
    for (guint slot = 0; slot < SLOTS; slot++) {
        g_assert_cmpuint(cellmap_slot_home(next, slot), ==,
                         cellmap_slot_home(map, slot));
    }
    g_assert_null(cellmap_readdress(map, cells, 1));
}

/* No cut, and no changed byte, of a good map does harm. */
static void
test_damage(void)
{
    g_autoptr(GByteArray) bytes = sketch_encode(&sketches[2]);
    for (guint len = 0; len < bytes->len; len++) {
        g_autofree guint8 *cut = g_memdup2(bytes->data, MAX(len, 1));
        g_autoptr(GError) error = NULL;
        g_assert_null(cellmap_decode((WireBytes){cut, len}, &error));
        g_assert_nonnull(error);
    }
    for (guint i = 0; i < bytes->len * 8; i++) {
        guint8 bit = (guint8)(1 << i % 8);
        bytes->data[i / 8] ^= bit;
        g_autoptr(CellMap) map = decode(bytes, NULL);
        bytes->data[i / 8] ^= bit;
        if (map != NULL) {
            g_assert_nonnull(cellmap_find(map, cellmap_home(map, (UserId){5})));
        }
    }
}

/* More bytes than the struct are refused, fields of the future are not. */
static void
test_extras(void)
{
    g_autoptr(GByteArray) bytes = sketch_encode(&sketches[0]);
    g_autoptr(GError) error = NULL;
    g_byte_array_set_size(bytes, bytes->len - 1);
    wire_field_string(bytes, 9, "later");
    wire_write_stop(bytes);
    g_autoptr(CellMap) map = decode(bytes, &error);
    g_assert_no_error(error);
    wire_write_stop(bytes);
    g_assert_null(decode(bytes, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
}

/* More overrides than the bound are refused before they are stored. */
static void
test_bounds(void)
{
    for (guint n = CELLMAP_OVERRIDES_MAX; n <= CELLMAP_OVERRIDES_MAX + 1; n++) {
        g_autoptr(GByteArray) bytes = sketch_encode(&sketches[0]);
        g_autoptr(GError) error = NULL;
        g_byte_array_set_size(bytes, bytes->len - 1);
        wire_write_field(bytes, WIRE_MAP, 4);
        wire_write_map(bytes, WIRE_I64, WIRE_I32, n);
        for (guint i = 0; i < n; i++) {
            wire_write_i64(bytes, i + 1);
            wire_write_i32(bytes, 0);
        }
        wire_write_stop(bytes);
        g_autoptr(CellMap) map = decode(bytes, &error);
        g_assert_cmpint(map != NULL, ==, n == CELLMAP_OVERRIDES_MAX);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cellmap/slots", test_slots);
    g_test_add_func("/cellmap/even", test_even);
    g_test_add_func("/cellmap/table", test_table);
    g_test_add_func("/cellmap/overrides", test_overrides);
    g_test_add_func("/cellmap/round_trip", test_round_trip);
    g_test_add_func("/cellmap/readdress", test_readdress);
    g_test_add_func("/cellmap/damage", test_damage);
    g_test_add_func("/cellmap/extras", test_extras);
    g_test_add_func("/cellmap/bounds", test_bounds);
    return g_test_run();
}
