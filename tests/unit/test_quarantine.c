/*
 * The list of what was set aside: the newest of all partitions, newest first,
 * whatever lies beside it in the store.
 */
#include "cell/quarantine.h"

#include "cell/facts.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define PARTITIONS 3

typedef struct Rig {
    char *dir;
    Store *store;
    StoreBatch *batch;
} Rig;

/* What the list says of one record. */
typedef struct Told {
    gint32 partition;
    gint64 offset;
    gint64 logged_ms;
    WireBytes reason;
    gint64 size;
    WireBytes head;
} Told;

static void
rig_init(Rig *rig)
{
    g_autoptr(GError) error = NULL;

    rig->dir = tmpdir_new();
    g_autofree char *path = g_build_filename(rig->dir, "store", NULL);
    StoreOptions options = {.dir = path,
                            .create = TRUE,
                            .cache_bytes = 1 << 20,
                            .write_buffer_bytes = 1 << 20};
    rig->store = store_open(&options, &error);
    g_assert_no_error(error);
    rig->batch = store_batch_new(rig->store);
}

static void
rig_clear(Rig *rig)
{
    store_batch_free(rig->batch);
    store_close(rig->store);
    tmpdir_free(rig->dir);
}

static void
set_aside(Rig *rig, guint partition, guint64 offset, gint64 ms, gsize len)
{
    static const EventFault fault = {"event", "is malformed", -1};
    g_autofree char *value = g_strnfill(len, 'v');
    LogRecord record = {.partition = partition,
                        .offset = offset,
                        .timestamp_ms = ms,
                        .value = {(const guint8 *)value, len}};

    g_assert_cmpint(fact_quarantine(rig->batch, &record, &fault), ==, FACT_SET);
}

static void
told_read(WireReader *reader, Told *told)
{
    WireField field;

    memset(told, 0, sizeof *told);
    while (wire_read_field(reader, &field)) {
        if (field.id == 1) {
            told->partition = wire_read_i32(reader);
        } else if (field.id == 2) {
            told->offset = wire_read_i64(reader);
        } else if (field.id == 3) {
            told->logged_ms = wire_read_i64(reader);
        } else if (field.id == 4) {
            told->reason = wire_read_bytes(reader);
        } else if (field.id == 5) {
            told->size = wire_read_i64(reader);
        } else {
            told->head = wire_read_bytes(reader);
        }
    }
}

/* The list as (partition, offset) pairs must be @wanted, @n of them. */
static void
check_list(Rig *rig, guint count, const gint64 (*wanted)[2], guint n)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    WireReader reader;
    WireType type;

    quarantine_write(rig->store, PARTITIONS, count, out);
    wire_reader_init(&reader, out->data, out->len);
    g_assert_cmpuint(wire_read_list(&reader, &type), ==, n);
    for (guint i = 0; i < n; i++) {
        Told told;

        told_read(&reader, &told);
        g_assert_cmpint(told.partition, ==, wanted[i][0]);
        g_assert_cmpint(told.offset, ==, wanted[i][1]);
        g_assert_cmpuint(told.head.len, ==,
                         (gsize)MIN(told.size, QUARANTINE_HEAD_BYTES));
        g_assert_cmpuint(told.reason.len, ==, strlen("event: is malformed"));
    }
    g_assert_false(reader.failed);
    g_assert_true(reader.at == reader.end);
}

/* By time, then partition and offset; as many as asked for; a first offset. */
static void
test_newest(void)
{
    static const gint64 wanted[][2] = {{1, 300}, {2, 7}, {0, 256},
                                       {0, 255}, {2, 0}, {1, 0}};
    Rig rig;

    rig_init(&rig);
    store_batch_put(rig.batch, key_position(2), "position", 8);
    store_batch_put(rig.batch, key_timeline((UserId){1}, (PostId){2}), "", 0);
    set_aside(&rig, 1, 0, 10, 0);
    set_aside(&rig, 2, 0, 10, 63);
    set_aside(&rig, 0, 255, 20, 64);
    set_aside(&rig, 0, 256, 20, 65);
    set_aside(&rig, 2, 7, 20, 100000);
    set_aside(&rig, 1, 300, 30, 5);
    g_assert_true(store_batch_commit(rig.batch, NULL));
    check_list(&rig, 100, wanted, 6);
    check_list(&rig, 6, wanted, 6);
    check_list(&rig, 4, wanted, 4);
    check_list(&rig, 1, wanted, 1);
    rig_clear(&rig);
}

/* Nothing there, with rows on either side of where it would be. */
static void
test_none(void)
{
    Rig rig;

    rig_init(&rig);
    check_list(&rig, 5, NULL, 0);
    store_batch_put(rig.batch, key_post((PostId){1}), "post", 4);
    store_batch_put(rig.batch, key_timeline((UserId){1}, (PostId){2}), "", 0);
    g_assert_true(store_batch_commit(rig.batch, NULL));
    check_list(&rig, 5, NULL, 0);
    rig_clear(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/quarantine/newest", test_newest);
    g_test_add_func("/quarantine/none", test_none);
    return g_test_run();
}
