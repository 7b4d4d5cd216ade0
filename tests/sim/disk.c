#include "tests/sim/disk.h"

#include "ops/kit/ensure.h"

#include <string.h>

#define POSITION_KEY_BYTES 5

/* ---- rows and tables ---- */

DiskRow *
disk_row_new(Key key, const void *data, gsize len, gboolean gone)
{
    DiskRow *row = g_malloc(sizeof *row + len);
    row->refs = 1;
    row->key = key;
    row->gone = gone;
    row->len = len;
    if (len > 0) {
        memcpy(row->data, data, len);
    }
    return row;
}

void
disk_row_unref(gpointer data)
{
    DiskRow *row = data;
    if (--row->refs == 0) {
        g_free(row);
    }
}

static DiskTable *
table_new(guint reserved)
{
    DiskTable *table = g_new0(DiskTable, 1);
    table->refs = 1;
    table->rows = g_ptr_array_new_full(reserved, disk_row_unref);
    return table;
}

DiskTable *
disk_table_ref(DiskTable *table)
{
    table->refs++;
    return table;
}

void
disk_table_unref(DiskTable *table)
{
    if (--table->refs == 0) {
        g_ptr_array_unref(table->rows);
        g_free(table);
    }
}

static int
key_order(const Key *a, const Key *b)
{
    int order = memcmp(a->data, b->data, MIN(a->len, b->len));
    return order != 0 ? order : (int)a->len - (int)b->len;
}

gboolean
disk_table_find(const DiskTable *table, Key key, guint *ret_at)
{
    guint low = 0;
    guint high = table->rows->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const DiskRow *row = g_ptr_array_index(table->rows, middle);
        if (key_order(&row->key, &key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_at = low;
    return low < table->rows->len &&
           key_order(
               &((const DiskRow *)g_ptr_array_index(table->rows, low))->key,
               &key) == 0;
}

/* A table that nobody else holds, with the same rows; takes @table. */
static DiskTable *
table_own(DiskTable *table)
{
    if (table->refs == 1) {
        return table;
    }
    DiskTable *copy = table_new(table->rows->len + 64);
    for (guint i = 0; i < table->rows->len; i++) {
        DiskRow *row = g_ptr_array_index(table->rows, i);
        row->refs++;
        g_ptr_array_add(copy->rows, row);
    }
    disk_table_unref(table);
    return copy;
}

static void
table_write(DiskTable *table, DiskRow *row)
{
    guint at;
    gboolean found = disk_table_find(table, row->key, &at);
    if (row->gone) {
        if (found) {
            g_ptr_array_remove_index(table->rows, at);
        }
        return;
    }
    row->refs++;
    if (found) {
        disk_row_unref(g_ptr_array_index(table->rows, at));
        g_ptr_array_index(table->rows, at) = row;
    } else {
        g_ptr_array_insert(table->rows, (gint)at, row);
    }
}

DiskTable *
disk_table_with(DiskTable *table, const GPtrArray *rows)
{
    DiskTable *with = table_own(disk_table_ref(table));
    for (guint i = 0; i < rows->len; i++) {
        table_write(with, g_ptr_array_index(rows, i));
    }
    return with;
}

/* ---- the disk ---- */

static void
batch_free(gpointer rows)
{
    g_ptr_array_unref(rows);
}

Disk *
disk_new(void)
{
    Disk *disk = g_new0(Disk, 1);
    disk->flushed = table_new(0);
    disk->now = disk_table_ref(disk->flushed);
    disk->later = g_ptr_array_new_with_free_func(batch_free);
    return disk;
}

void
disk_free(Disk *disk)
{
    ensure(disk->store == NULL);
    disk_table_unref(disk->flushed);
    disk_table_unref(disk->now);
    g_ptr_array_unref(disk->later);
    g_free(disk);
}

void
disk_arm(Disk *disk, DiskFault fault, guint nth)
{
    disk->armed = fault;
    disk->countdown = nth;
}

gboolean
disk_strikes(Disk *disk, DiskFault fault)
{
    if (disk->armed != fault || --disk->countdown > 0) {
        return FALSE;
    }
    disk->armed = DISK_SOUND;
    disk->struck = fault;
    return TRUE;
}

const char *
disk_fault_name(DiskFault fault)
{
    static const char *const names[DISK_FAULTS] = {
        [DISK_SOUND] = "none",
        [DISK_COMMIT_LOST] = "commit-lost",
        [DISK_COMMIT_KEPT] = "commit-kept",
        [DISK_COMMIT_IO] = "commit-io",
        [DISK_COMMIT_FULL] = "commit-full",
        [DISK_FLUSH_LOST] = "flush-lost",
        [DISK_FLUSH_KEPT] = "flush-kept",
        [DISK_FLUSH_IO] = "flush-io",
        [DISK_READ_IO] = "read-io",
    };
    return names[fault];
}

/* Positions a batch claims: rows "o partition", u64 LE first (cell/meta.h). */
static void
disk_note_position(Disk *disk, const DiskRow *row)
{
    if (row->key.len != POSITION_KEY_BYTES || row->key.data[0] != 'o') {
        return;
    }
    guint32 partition;
    guint64 next;
    ensure(row->len >= sizeof next);
    memcpy(&partition, row->key.data + 1, sizeof partition);
    memcpy(&next, row->data, sizeof next);
    partition = GUINT32_FROM_BE(partition);
    next = GUINT64_FROM_LE(next);
    ensure(partition < DISK_PARTITIONS_MAX);
    disk->at[partition] = next;
    disk->high[partition] = MAX(disk->high[partition], next);
}

static void
disk_apply(Disk *disk, GPtrArray *rows)
{
    disk->now = table_own(disk->now);
    for (guint i = 0; i < rows->len; i++) {
        DiskRow *row = g_ptr_array_index(rows, i);
        table_write(disk->now, row);
        if (!row->gone) {
            disk_note_position(disk, row);
        }
    }
}

void
disk_commit(Disk *disk, GPtrArray *rows)
{
    disk->commits++;
    disk_apply(disk, rows);
    g_ptr_array_add(disk->later, rows);
}

void
disk_flush(Disk *disk)
{
    disk_table_unref(disk->flushed);
    disk->flushed = disk_table_ref(disk->now);
    g_ptr_array_set_size(disk->later, 0);
    memcpy(disk->flushed_high, disk->high, sizeof disk->high);
}

void
disk_crash(Disk *disk, Dice *dice)
{
    ensure(disk->store == NULL);
    guint keep = disk->later->len;
    guint lot = dice_below(dice, 4);
    if (lot < 2) {
        keep = lot == 0 ? 0 : dice_below(dice, keep + 1);
    }
    disk_table_unref(disk->now);
    disk->now = disk_table_ref(disk->flushed);
    memcpy(disk->high, disk->flushed_high, sizeof disk->high);
    memset(disk->at, 0, sizeof disk->at);
    for (guint i = 0; i < keep; i++) {
        disk_apply(disk, g_ptr_array_index(disk->later, i));
    }
    if (keep > 0) {
        disk_flush(disk); /* what is there after a start stays there */
    }
    g_ptr_array_set_size(disk->later, 0);
    disk->armed = DISK_SOUND;
    disk->struck = DISK_SOUND;
    disk->latched = FALSE;
}
