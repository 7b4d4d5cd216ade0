/*
 * disk.h - what a store has on disk, and how it may go wrong
 *
 * Rows in order of key, in tables that are copied when they are written while
 * somebody else holds them: a snapshot is a reference. A Disk outlives the
 * Store that is open on it. What was flushed survives a crash; of the batches
 * committed since, a crash keeps the first few, by chance (RocksDB flushes on
 * its own when it likes), and never leaves a hole.
 *
 * Faults strike once: at the n-th commit, flush or read after they were armed.
 */
#pragma once

#include "cell/key.h"
#include "tests/sim/dice.h"

/* Partitions whose positions a disk follows. */
#define DISK_PARTITIONS_MAX 16

typedef struct DiskRow {
    guint refs;
    Key key;
    gboolean gone; /* in a batch: the row is deleted */
    gsize len;     /* of the value */
    guint8 data[];
} DiskRow;

typedef struct DiskTable {
    guint refs;
    GPtrArray *rows; /* DiskRow, ascending, none gone */
} DiskTable;

typedef enum DiskFault {
    DISK_SOUND,
    DISK_COMMIT_LOST, /* the process dies before the batch is written */
    DISK_COMMIT_KEPT, /* it dies right after */
    DISK_COMMIT_IO,   /* the commit fails and latches the store */
    DISK_COMMIT_FULL, /* likewise */
    DISK_FLUSH_LOST,  /* the process dies before anything is flushed */
    DISK_FLUSH_KEPT,  /* it dies right after */
    DISK_FLUSH_IO,    /* the flush fails and latches the store */
    DISK_READ_IO,     /* a get or an iterator fails once */
    DISK_FAULTS,
} DiskFault;

typedef struct Disk {
    DiskTable *flushed; /* survives; owned */
    DiskTable *now;     /* what the open store reads; owned */
    GPtrArray *later;   /* GPtrArray of DiskRow: batches not flushed */
    gboolean exists;    /* a database was made here */
    gpointer store;     /* the Store that is open on it, or NULL */
    DiskFault armed;    /* strikes when @countdown is 0 */
    guint countdown;
    DiskFault struck; /* the last one that did; the owner resets it */
    gboolean latched; /* every write fails until the store is opened again */
    /* Per partition, from the position rows of the batches: the furthest that
       facts reach, flushed and in all; and the last one written. */
    guint64 flushed_high[DISK_PARTITIONS_MAX];
    guint64 high[DISK_PARTITIONS_MAX];
    guint64 at[DISK_PARTITIONS_MAX];
    guint64 commits; /* so many in its life */
} Disk;

/** disk_new() - nothing on it. */
Disk *disk_new(void);
void disk_free(Disk *disk);

/** disk_arm() - have @fault strike at its @nth chance from now. */
void disk_arm(Disk *disk, DiskFault fault, guint nth);

/** disk_strikes() - pass a place where @fault may strike; TRUE: it does. */
gboolean disk_strikes(Disk *disk, DiskFault fault);

/** disk_fault_name() - "commit-lost"; const. */
const char *disk_fault_name(DiskFault fault);

/** disk_commit() - write a batch. @rows: DiskRow; taken over. */
void disk_commit(Disk *disk, GPtrArray *rows);

/** disk_flush() - all that is committed survives. */
void disk_flush(Disk *disk);

/** disk_crash() - lose what @dice says, never a hole; unlatch and disarm. */
void disk_crash(Disk *disk, Dice *dice);

/** disk_row_new() - a row with one reference; @data is copied. */
DiskRow *disk_row_new(Key key, const void *data, gsize len, gboolean gone);
void disk_row_unref(gpointer row);

/** disk_table_ref() - one more holder; disk_table_unref(). */
DiskTable *disk_table_ref(DiskTable *table);
void disk_table_unref(DiskTable *table);

/** disk_table_find() - place of the first row at or after @key; TRUE: of it. */
gboolean disk_table_find(const DiskTable *table, Key key, guint *ret_at);

/** disk_table_with() - a new table: @table's rows and then @rows' writes. */
DiskTable *disk_table_with(DiskTable *table, const GPtrArray *rows);
