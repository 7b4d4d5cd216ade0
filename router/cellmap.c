/*
 * A map is born by cellmap_even() or cellmap_decode() and never changes
 * afterwards, so that any number of threads may look users up in it. Whoever
 * meets a newer epoch swaps the pointer; the last one to let go frees it.
 *
 * Looking up is two steps: a binary search among the overrides (almost always
 * none), then one array access by slot. The slot function and its 4,096 slots
 * are fixed for ever: changing either would move almost every inbox.
 *
 * What can go wrong: a map is an operator's input, and a wrong one sends
 * users to cells that do not know them. So nothing of it is believed: each
 * slot must have exactly one cell, each cell named must be listed once and
 * have an address, all counts are bounded. A map that fails is refused whole
 * with the reason. Fields that we do not know yet are skipped.
 */
#include "router/cellmap.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAP_HEADER_BYTES 2

typedef struct Override {
    gint64 user;
    guint16 cell;
} Override;

struct CellMap {
    atomic_int refs;              /* freed at 0 */
    gint64 epoch;                 /* 1 or more */
    GArray *entries;              /* CellMapEntry; hosts owned */
    GArray *overrides;            /* Override, ascending by user */
    guint16 slots[SLOTS];         /* the number of each slot's cell */
    guint16 places[CELL_MAX + 1]; /* by cell: index in entries + 1; 0: none */
};

guint
cellmap_slot(UserId user)
{
    guint64 le = GUINT64_TO_LE((guint64)user.v);
    return (guint)(XXH64(&le, sizeof le, 0) % SLOTS);
}

static void
entry_clear(gpointer entry)
{
    g_free(((CellMapEntry *)entry)->host);
}

static CellMap *
map_new(gint64 epoch)
{
    CellMap *map = g_new0(CellMap, 1);
    atomic_init(&map->refs, 1);
    map->epoch = epoch;
    map->entries = g_array_new(FALSE, FALSE, sizeof(CellMapEntry));
    g_array_set_clear_func(map->entries, entry_clear);
    map->overrides = g_array_new(FALSE, FALSE, sizeof(Override));
    return map;
}

CellMap *
cellmap_ref(CellMap *map)
{
    atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
    return map;
}

void
cellmap_unref(CellMap *map)
{
    int before = atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel);
    ensure(before > 0);
    if (before > 1) {
        return;
    }
    g_array_unref(map->entries);
    g_array_unref(map->overrides);
    g_free(map);
}

/* Takes @host. */
static void
map_add_cell(CellMap *map, guint cell, char *host, guint16 port)
{
    CellMapEntry entry = {.cell = cell, .host = host, .port = port};
    g_array_append_val(map->entries, entry);
    map->places[cell] = (guint16)map->entries->len;
}

CellMap *
cellmap_even(gint64 epoch, const CellMapEntry *cells, guint n)
{
    ensure(epoch >= 1 && n >= 1 && n <= CELL_MAX + 1);
    CellMap *map = map_new(epoch);
    for (guint i = 0; i < n; i++) {
        ensure(cells[i].cell <= CELL_MAX);
        ensure(cellmap_find(map, cells[i].cell) == NULL);
        map_add_cell(map, cells[i].cell, g_strdup(cells[i].host),
                     cells[i].port);
    }
    for (guint slot = 0; slot < SLOTS; slot++) {
        map->slots[slot] = (guint16)cells[slot * n / SLOTS].cell;
    }
    return map;
}

CellMap *
cellmap_readdress(const CellMap *map, const CellMapEntry *cells, guint n)
{
    g_autoptr(CellMap) next = cellmap_even(map->epoch + 1, cells, n);
    for (guint i = 0; i < map->entries->len; i++) {
        const CellMapEntry *entry =
            &g_array_index(map->entries, CellMapEntry, i);
        if (cellmap_find(next, entry->cell) == NULL) {
            return NULL;
        }
    }
    memcpy(next->slots, map->slots, sizeof next->slots);
    g_array_append_vals(next->overrides, map->overrides->data,
                        map->overrides->len);
    return g_steal_pointer(&next);
}

/* ---- looking up ---- */

gint64
cellmap_epoch(const CellMap *map)
{
    return map->epoch;
}

static int
override_compare(const void *a, const void *b)
{
    gint64 x = ((const Override *)a)->user;
    gint64 y = ((const Override *)b)->user;
    return (x > y) - (x < y);
}

guint
cellmap_home(const CellMap *map, UserId user)
{
    Override key = {.user = user.v};
    const Override *found = NULL;
    if (map->overrides->len > 0) {
        found = bsearch(&key, map->overrides->data, map->overrides->len,
                        sizeof key, override_compare);
    }
    return found != NULL ? found->cell : map->slots[cellmap_slot(user)];
}

guint
cellmap_slot_home(const CellMap *map, guint slot)
{
    ensure(slot < SLOTS);
    return map->slots[slot];
}

const CellMapEntry *
cellmap_entries(const CellMap *map, guint *ret_n)
{
    *ret_n = map->entries->len;
    return (const CellMapEntry *)(gpointer)map->entries->data;
}

const CellMapEntry *
cellmap_find(const CellMap *map, guint cell)
{
    guint place = cell <= CELL_MAX ? map->places[cell] : 0;
    return place > 0 ? &g_array_index(map->entries, CellMapEntry, place - 1)
                     : NULL;
}

/* ---- writing ---- */

static void
encode_cells(const CellMap *map, GByteArray *out)
{
    guint n = 0;
    const CellMapEntry *entries = cellmap_entries(map, &n);
    wire_write_field(out, WIRE_LIST, 2);
    wire_write_list(out, WIRE_STRUCT, n);
    for (guint i = 0; i < n; i++) {
        wire_field_i32(out, 1, (gint32)entries[i].cell);
        wire_field_string(out, 2, entries[i].host);
        wire_field_i32(out, 3, entries[i].port);
        wire_write_stop(out);
    }
}

/* The end of the run of one cell's slots that begins at @first. */
static guint
run_end(const CellMap *map, guint first)
{
    guint end = first + 1;
    while (end < SLOTS && map->slots[end] == map->slots[first]) {
        end++;
    }
    return end;
}

static void
encode_ranges(const CellMap *map, GByteArray *out)
{
    guint32 runs = 0;
    for (guint slot = 0; slot < SLOTS; slot = run_end(map, slot)) {
        runs++;
    }
    wire_write_field(out, WIRE_LIST, 3);
    wire_write_list(out, WIRE_STRUCT, runs);
    for (guint slot = 0; slot < SLOTS; slot = run_end(map, slot)) {
        wire_field_i32(out, 1, (gint32)slot);
        wire_field_i32(out, 2, (gint32)run_end(map, slot) - 1);
        wire_field_i32(out, 3, map->slots[slot]);
        wire_write_stop(out);
    }
}

static void
encode_overrides(const CellMap *map, GByteArray *out)
{
    wire_write_field(out, WIRE_MAP, 4);
    wire_write_map(out, WIRE_I64, WIRE_I32, map->overrides->len);
    for (guint i = 0; i < map->overrides->len; i++) {
        const Override *override = &g_array_index(map->overrides, Override, i);
        wire_write_i64(out, override->user);
        wire_write_i32(out, override->cell);
    }
}

void
cellmap_encode(const CellMap *map, GByteArray *out)
{
    wire_field_i64(out, 1, map->epoch);
    encode_cells(map, out);
    encode_ranges(map, out);
    if (map->overrides->len > 0) {
        encode_overrides(map, out);
    }
    wire_write_stop(out);
}

/* ---- reading ---- */

/* The struct's fields as found; what is absent is empty. */
typedef struct Fields {
    gint64 epoch;
    WireBytes cells;     /* a list's encoding */
    WireBytes ranges;    /* likewise */
    WireBytes overrides; /* a map's encoding */
} Fields;

G_GNUC_PRINTF(2, 3)
static gboolean
refuse(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT, "cell map: %s", what);
    return FALSE;
}

static gboolean
refuse_bytes(GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                "cell map: no well-formed struct CellMap");
    return FALSE;
}

static gboolean
read_fields(WireBytes bytes, Fields *fields)
{
    WireReader reader;
    WireField field;
    wire_reader_init(&reader, bytes.data, bytes.len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == 1 && field.type == WIRE_I64) {
            fields->epoch = wire_read_i64(&reader);
        } else if (field.id == 2 && field.type == WIRE_LIST) {
            fields->cells = wire_read_value(&reader, WIRE_LIST);
        } else if (field.id == 3 && field.type == WIRE_LIST) {
            fields->ranges = wire_read_value(&reader, WIRE_LIST);
        } else if (field.id == 4 && field.type == WIRE_MAP) {
            fields->overrides = wire_read_value(&reader, WIRE_MAP);
        } else {
            wire_skip(&reader, field.type);
        }
    }
    return !reader.failed && reader.at == reader.end;
}

/* A reader on a list of structs; FALSE where it is another kind of list. */
static gboolean
read_structs(WireBytes list, WireReader *reader, guint32 *ret_n)
{
    WireType type = WIRE_STOP;
    wire_reader_init(reader, list.data, list.len);
    *ret_n = list.len > 0 ? wire_read_list(reader, &type) : 0;
    return *ret_n == 0 || type == WIRE_STRUCT;
}

static gboolean
host_is_usable(WireBytes host)
{
    return host.len > 0 && host.len <= CELLMAP_HOST_BYTES_MAX &&
           memchr(host.data, 0, host.len) == NULL &&
           g_utf8_validate((const char *)host.data, (gssize)host.len, NULL);
}

static gboolean
read_cell(WireReader *reader, CellMap *map, GError **error)
{
    gint32 cell = -1;
    gint32 port = 0;
    WireBytes host = {0};
    WireField field;
    while (wire_read_field(reader, &field)) {
        if (field.id == 1 && field.type == WIRE_I32) {
            cell = wire_read_i32(reader);
        } else if (field.id == 2 && field.type == WIRE_BINARY) {
            host = wire_read_bytes(reader);
        } else if (field.id == 3 && field.type == WIRE_I32) {
            port = wire_read_i32(reader);
        } else {
            wire_skip(reader, field.type);
        }
    }
    if (cell < 0 || cell > CELL_MAX) {
        return refuse(error, "cell %d is not within 0 to %d", cell, CELL_MAX);
    }
    if (cellmap_find(map, (guint)cell) != NULL) {
        return refuse(error, "cell %d is listed twice", cell);
    }
    if (!host_is_usable(host)) {
        return refuse(error, "the host of cell %d is not usable", cell);
    }
    if (port < 1 || port > G_MAXUINT16) {
        return refuse(error, "port %d of cell %d is not within 1 to 65535",
                      port, cell);
    }
    map_add_cell(map, (guint)cell, g_strndup((const char *)host.data, host.len),
                 (guint16)port);
    return TRUE;
}

static gboolean
read_cells(WireBytes list, CellMap *map, GError **error)
{
    WireReader reader;
    guint32 n = 0;
    if (!read_structs(list, &reader, &n)) {
        return refuse_bytes(error);
    }
    if (n < 1 || n > CELL_MAX + 1) {
        return refuse(error, "%u cells; 1 to %d are possible", n, CELL_MAX + 1);
    }
    for (guint32 i = 0; i < n; i++) {
        if (!read_cell(&reader, map, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Gives one cell the slots of a range that must begin at @next. */
static gboolean
read_range(WireReader *reader, CellMap *map, guint *next, GError **error)
{
    gint32 value[4] = {-1, -1, -1, -1};
    WireField field;
    while (wire_read_field(reader, &field)) {
        if (field.id >= 1 && field.id <= 3 && field.type == WIRE_I32) {
            value[field.id] = wire_read_i32(reader);
        } else {
            wire_skip(reader, field.type);
        }
    }
    gint32 first = value[1];
    gint32 last = value[2];
    gint32 cell = value[3];
    if (first != (gint32)*next) {
        return refuse(error, "a range begins at slot %d instead of %u", first,
                      *next);
    }
    if (last < first || last >= SLOTS) {
        return refuse(error, "range %d to %d is not ascending within 0 to %d",
                      first, last, SLOTS - 1);
    }
    if (cell < 0 || cellmap_find(map, (guint)cell) == NULL) {
        return refuse(error, "slots %d to %d are given to unknown cell %d",
                      first, last, cell);
    }
    for (gint32 slot = first; slot <= last; slot++) {
        map->slots[slot] = (guint16)cell;
    }
    *next = (guint)last + 1;
    return TRUE;
}

static gboolean
read_ranges(WireBytes list, CellMap *map, GError **error)
{
    WireReader reader;
    guint32 n = 0;
    guint next = 0;
    if (!read_structs(list, &reader, &n)) {
        return refuse_bytes(error);
    }
    for (guint32 i = 0; i < n; i++) {
        if (!read_range(&reader, map, &next, error)) {
            return FALSE;
        }
    }
    if (next != SLOTS) {
        return refuse(error, "slots from %u on have no cell", next);
    }
    return TRUE;
}

static gboolean
read_override(WireReader *reader, CellMap *map, GError **error)
{
    gint64 user = wire_read_i64(reader);
    gint32 cell = wire_read_i32(reader);
    if (user < 1) {
        return refuse(error, "an override for user %" G_GINT64_FORMAT, user);
    }
    if (cell < 0 || cellmap_find(map, (guint)cell) == NULL) {
        return refuse(error,
                      "user %" G_GINT64_FORMAT " is given to unknown cell %d",
                      user, cell);
    }
    Override override = {.user = user, .cell = (guint16)cell};
    g_array_append_val(map->overrides, override);
    return TRUE;
}

static gboolean
overrides_are_unique(GArray *overrides)
{
    for (guint i = 1; i < overrides->len; i++) {
        if (g_array_index(overrides, Override, i - 1).user ==
            g_array_index(overrides, Override, i).user) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
read_overrides(WireBytes bytes, CellMap *map, GError **error)
{
    if (bytes.len == 0) {
        return TRUE;
    }
    WireReader reader;
    wire_reader_init(&reader, bytes.data + MAP_HEADER_BYTES,
                     bytes.len - MAP_HEADER_BYTES);
    gint32 n = wire_read_i32(&reader);
    if (n > 0 && (bytes.data[0] != WIRE_I64 || bytes.data[1] != WIRE_I32)) {
        return refuse_bytes(error);
    }
    if (n < 0 || n > CELLMAP_OVERRIDES_MAX) {
        return refuse(error, "%d overrides; at most %d are possible", n,
                      CELLMAP_OVERRIDES_MAX);
    }
    for (gint32 i = 0; i < n; i++) {
        if (!read_override(&reader, map, error)) {
            return FALSE;
        }
    }
    g_array_sort(map->overrides, override_compare);
    return overrides_are_unique(map->overrides)
               ? TRUE
               : refuse(error, "two overrides for one user");
}

CellMap *
cellmap_decode(WireBytes bytes, GError **error)
{
    Fields fields = {0};
    if (!read_fields(bytes, &fields)) {
        refuse_bytes(error);
        return NULL;
    }
    if (fields.epoch < 1) {
        refuse(error, "epoch %" G_GINT64_FORMAT " is below 1", fields.epoch);
        return NULL;
    }
    g_autoptr(CellMap) map = map_new(fields.epoch);
    if (!read_cells(fields.cells, map, error) ||
        !read_ranges(fields.ranges, map, error) ||
        !read_overrides(fields.overrides, map, error)) {
        return NULL;
    }
    return g_steal_pointer(&map);
}

gboolean
cellmap_equal(const CellMap *a, const CellMap *b)
{
    g_autoptr(GByteArray) bytes_a = g_byte_array_new();
    g_autoptr(GByteArray) bytes_b = g_byte_array_new();
    cellmap_encode(a, bytes_a);
    cellmap_encode(b, bytes_b);
    return bytes_a->len == bytes_b->len &&
           memcmp(bytes_a->data, bytes_b->data, bytes_a->len) == 0;
}
