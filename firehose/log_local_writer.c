/*
 * log_local_writer.c - the local log's one writer
 *
 * The life of an append: it is copied into the queue by its caller; the
 * writer takes what is queued, up to a bound, gives each record its offset
 * and its timestamp, writes all in one synced batch, moves the ends that
 * readers see, and only then acknowledges, in the order of the queue. A sync
 * costs milliseconds whatever its size, so the longer it takes the more
 * appends share the next one.
 *
 * Between groups, and on a clock of its own while nothing is queued, the
 * writer drops what has expired: the new beginning and the deletion are one
 * batch. Readers see the beginning move before the rows go, so that a missing
 * row below it is known to have expired.
 *
 * Failure modes. Queue full: refused at once, nothing waits without bound.
 * Disk nearly full: refused as full, and taken again when there is room. A
 * write that fails: that group is uncertain, since its rows may be found when
 * the log is opened again; all later appends fail with the reason, until the
 * process restarts. Reading goes on in each case.
 */
#include "firehose/log_local_writer.h"

#include "firehose/log_driver.h"
#include "ops/kit/ensure.h"
#include "ops/kit/logger.h"

#include <string.h>

#define GROUP_BYTES_MAX (4 * 1024 * 1024)
#define EXPIRE_EVERY_MS_MIN 100
#define EXPIRE_EVERY_MS_MAX (60 * 1000)

/* What a record costs beyond its key and value, generously. */
#define RECORD_OVERHEAD_BYTES 64

/* One log_append(), copied: this, entries, acks, bytes in one allocation. */
typedef struct Pending {
    struct Pending *next;
    LocalTopic *topic;
    LocalProgress *progress;
    LogAckFunc acked;
    gpointer user_data;
    gsize n;
    gsize cost; /* bytes it takes of the queue and of the disk */
    LogAck *acks;
    LogEntry entries[];
} Pending;

struct LocalWriter {
    LocalState *state;
    pthread_t thread;

    LogWait wait;   /* guards down to stopping; woken by appends and acks */
    Pending *head;  /* the queue */
    Pending **tail; /* where the next one goes */
    gsize queued;   /* cost of all in the queue */
    gboolean stopping;

    /* The writer thread's own: */
    LocalBatch *batch;
    GByteArray *row;      /* scratch for values */
    char *failed;         /* why nothing is written any more; NULL: it is */
    gint64 expired_at_ms; /* last round of retention; monotonic */
};

static gsize
entries_cost(const LogEntry *entries, gsize n)
{
    gsize cost = 0;

    for (gsize i = 0; i < n; i++) {
        cost +=
            RECORD_OVERHEAD_BYTES + entries[i].key.len + entries[i].value.len;
    }
    return cost;
}

static WireBytes
copy_bytes(guint8 **at, WireBytes bytes)
{
    WireBytes copy = {*at, bytes.len};

    if (bytes.len > 0) {
        memcpy(*at, bytes.data, bytes.len);
    }
    *at += bytes.len;
    return copy;
}

static Pending *
pending_new(const LogEntry *entries, gsize n, gsize cost)
{
    gsize fixed = n * (sizeof(LogEntry) + sizeof(LogAck));
    Pending *pending = g_malloc(sizeof *pending + fixed + cost);
    guint8 *at;

    memset(pending, 0, sizeof *pending);
    pending->n = n;
    pending->cost = cost;
    pending->acks = (LogAck *)(void *)&pending->entries[n];
    memset(pending->acks, 0, n * sizeof(LogAck));
    at = (guint8 *)&pending->acks[n];
    for (gsize i = 0; i < n; i++) {
        pending->entries[i].partition = entries[i].partition;
        pending->entries[i].key = copy_bytes(&at, entries[i].key);
        pending->entries[i].value = copy_bytes(&at, entries[i].value);
    }
    return pending;
}

void
local_writer_append(LocalWriter *writer, LocalTopic *topic,
                    LocalProgress *progress, const LogEntry *entries, gsize n,
                    LogAckFunc acked, gpointer user_data)
{
    Pending *pending = pending_new(entries, n, entries_cost(entries, n));
    gboolean taken;

    pending->topic = topic;
    pending->progress = progress;
    pending->acked = acked;
    pending->user_data = user_data;
    log_wait_lock(&writer->wait);
    taken = writer->queued + pending->cost <= LOCAL_QUEUE_BYTES_MAX;
    if (taken) {
        *writer->tail = pending;
        writer->tail = &pending->next;
        writer->queued += pending->cost;
        progress->n++;
        log_wait_wake(&writer->wait);
    }
    log_wait_unlock(&writer->wait);
    if (!taken) {
        g_free(pending);
        log_ack_all(LOG_APPEND_FULL, "the log's queue is full", n, acked,
                    user_data);
    }
}

void
local_writer_wait(LocalWriter *writer, const LocalProgress *progress)
{
    log_wait_lock(&writer->wait);
    while (progress->n > 0) {
        log_wait_until(&writer->wait, NULL);
    }
    log_wait_unlock(&writer->wait);
}

/* The oldest appends, as many as one batch takes. Locked. */
static Pending *
take_group(LocalWriter *writer)
{
    Pending *group = writer->head;
    Pending **end = &group;
    gsize cost = 0;

    while (*end != NULL && cost < GROUP_BYTES_MAX) {
        cost += (*end)->cost;
        end = &(*end)->next;
    }
    writer->head = *end;
    *end = NULL;
    if (writer->head == NULL) {
        writer->tail = &writer->head;
    }
    writer->queued -= cost;
    return group;
}

static void
set_acks(Pending *group, LogAppendOutcome outcome, const char *reason)
{
    for (; group != NULL; group = group->next) {
        for (gsize i = 0; i < group->n; i++) {
            group->acks[i].outcome = outcome;
            group->acks[i].reason = reason;
        }
    }
}

static void
latch_failure(LocalWriter *writer, const GError *error)
{
    g_autofree char *quoted = logger_quote_reason(error->message);

    writer->failed = g_strdup(error->message);
    logger_crit("firehose.local", "the log takes no more appends", "error=%s",
                quoted);
}

static void
stage_entry(LocalWriter *writer, const LocalTopic *topic, const LogEntry *entry,
            LogAck *ack, gint64 now_ms)
{
    LocalPart *part = &topic->parts[entry->partition];
    LogRowKey key;

    part->write_last_ms = MAX(now_ms, part->write_last_ms);
    log_row_record_key(topic->number, entry->partition, part->write_end, &key);
    log_row_write_record(writer->row, part->write_last_ms, entry->key,
                         entry->value);
    local_batch_put(writer->batch, log_row_bytes(&key),
                    (WireBytes){writer->row->data, writer->row->len});
    ack->outcome = LOG_APPENDED;
    ack->offset = part->write_end;
    part->write_end++;
}

/* Moves the ends that readers see. */
static void
publish_group(LocalWriter *writer, const Pending *group)
{
    log_wait_lock(&writer->state->wait);
    for (; group != NULL; group = group->next) {
        for (gsize i = 0; i < group->n; i++) {
            guint partition = group->entries[i].partition;

            group->topic->parts[partition].end = group->acks[i].offset + 1;
        }
    }
    log_wait_wake(&writer->state->wait);
    log_wait_unlock(&writer->state->wait);
}

static void
write_group(LocalWriter *writer, Pending *group)
{
    g_autoptr(GError) error = NULL;
    gint64 now_ms = g_get_real_time() / 1000;

    local_batch_clear(writer->batch);
    for (Pending *p = group; p != NULL; p = p->next) {
        for (gsize i = 0; i < p->n; i++) {
            stage_entry(writer, p->topic, &p->entries[i], &p->acks[i], now_ms);
        }
    }
    if (local_store_write(writer->state->store, writer->batch, &error)) {
        publish_group(writer, group);
        return;
    }
    latch_failure(writer, error);
    set_acks(group, LOG_APPEND_UNCERTAIN, writer->failed);
}

static gsize
group_cost(const Pending *group)
{
    gsize cost = 0;

    for (; group != NULL; group = group->next) {
        cost += group->cost;
    }
    return cost;
}

static void
acknowledge_group(LocalWriter *writer, Pending *group)
{
    while (group != NULL) {
        Pending *next = group->next;

        group->acked(group->acks, group->n, group->user_data);
        log_wait_lock(&writer->wait);
        group->progress->n--;
        log_wait_wake(&writer->wait);
        log_wait_unlock(&writer->wait);
        g_free(group);
        group = next;
    }
}

static void
handle_group(LocalWriter *writer, Pending *group)
{
    if (writer->failed != NULL) {
        set_acks(group, LOG_APPEND_FAILED, writer->failed);
    } else if (group_cost(group) > local_store_room(writer->state->store)) {
        logger_warn("firehose.local", "no space left on device: refused",
                    "bytes=%zu", group_cost(group));
        set_acks(group, LOG_APPEND_FULL,
                 "no space left on device, but for the log's reserve");
    } else {
        write_group(writer, group);
    }
    acknowledge_group(writer, group);
}

/* Drops the records of one partition before @cut. */
static void
drop_before(LocalWriter *writer, const LocalTopic *topic, guint partition,
            guint64 cut)
{
    LocalStore *store = writer->state->store;
    LocalPart *part = &topic->parts[partition];
    g_autoptr(GError) error = NULL;
    LogRowKey bounds;
    LogRowKey from;
    LogRowKey to;
    LogRowKey last;

    log_wait_lock(&writer->state->wait);
    log_row_record_key(topic->number, partition, part->first, &from);
    part->first = cut;
    log_wait_unlock(&writer->state->wait);

    log_row_record_key(topic->number, partition, cut, &to);
    log_row_bounds_key(topic->number, partition, &bounds);
    log_row_write_bounds(writer->row, cut, part->write_last_ms);
    local_batch_clear(writer->batch);
    local_batch_put(writer->batch, log_row_bytes(&bounds),
                    (WireBytes){writer->row->data, writer->row->len});
    local_batch_drop(writer->batch, log_row_bytes(&from), log_row_bytes(&to));
    if (!local_store_write(store, writer->batch, &error)) {
        latch_failure(writer, error);
        return;
    }
    /* Its end is within the range: the first row kept must not be. */
    log_row_record_key(topic->number, partition, cut - 1, &last);
    local_store_reclaim(store, log_row_bytes(&from), log_row_bytes(&last));
}

static void
expire_topic(LocalWriter *writer, const LocalTopic *topic, gint64 before_ms)
{
    for (guint i = 0; i < topic->partitions && writer->failed == NULL; i++) {
        g_autoptr(GError) error = NULL;
        guint64 first;
        guint64 end;
        guint64 cut;

        local_topic_bounds(writer->state, topic, i, &first, &end);
        if (!local_topic_find_time(writer->state, topic, i, before_ms, &cut,
                                   &error)) {
            g_autofree char *quoted = logger_quote(error->message);

            logger_warn("firehose.local", "retention cannot read",
                        "partition=%u error=%s", i, quoted);
        } else if (cut > first) {
            drop_before(writer, topic, i, cut);
        }
    }
}

/* The topic's retention; -1: for ever. NULL past the last topic. */
static const LocalTopic *
get_topic(LocalState *state, guint i, gint64 *ret_retention_ms)
{
    const LocalTopic *topic = NULL;

    log_wait_lock(&state->wait);
    if (i < state->topics->len) {
        topic = g_ptr_array_index(state->topics, i);
        *ret_retention_ms = topic->compacted ? -1 : topic->retention_ms;
    }
    log_wait_unlock(&state->wait);
    return topic;
}

/* Ten rounds in the shortest retention, at most one a minute. */
static gint64
expire_every_ms(LocalState *state)
{
    gint64 every_ms = EXPIRE_EVERY_MS_MAX;
    gint64 retention_ms;

    for (guint i = 0; get_topic(state, i, &retention_ms) != NULL; i++) {
        if (retention_ms >= 0) {
            every_ms = MIN(every_ms, retention_ms / 10);
        }
    }
    return MAX(every_ms, EXPIRE_EVERY_MS_MIN);
}

static void
expire_topics(LocalWriter *writer)
{
    gint64 now_ms = g_get_real_time() / 1000;
    const LocalTopic *topic;
    gint64 retention_ms;

    for (guint i = 0;
         (topic = get_topic(writer->state, i, &retention_ms)) != NULL; i++) {
        if (retention_ms >= 0) {
            expire_topic(writer, topic, now_ms - retention_ms);
        }
    }
    writer->expired_at_ms = g_get_monotonic_time() / 1000;
}

static gint64
expire_due_ms(const LocalWriter *writer)
{
    gint64 due_ms = writer->expired_at_ms + expire_every_ms(writer->state);

    return MAX(due_ms - g_get_monotonic_time() / 1000, 0);
}

/* Sleeps until there is something to do. FALSE: stopped, nothing is left. */
static gboolean
wait_for_work(LocalWriter *writer, Pending **ret_group)
{
    struct timespec deadline = log_wait_deadline(expire_due_ms(writer));
    gboolean going;

    log_wait_lock(&writer->wait);
    while (writer->head == NULL && !writer->stopping &&
           log_wait_until(&writer->wait, &deadline)) {
    }
    *ret_group = take_group(writer);
    going = *ret_group != NULL || !writer->stopping;
    log_wait_unlock(&writer->wait);
    return going;
}

static void *
run_writer(void *data)
{
    LocalWriter *writer = data;
    Pending *group;

    while (wait_for_work(writer, &group)) {
        if (group != NULL) {
            handle_group(writer, group);
        }
        if (expire_due_ms(writer) == 0) {
            expire_topics(writer);
        }
    }
    return NULL;
}

LocalWriter *
local_writer_start(LocalState *state)
{
    LocalWriter *writer = g_new0(LocalWriter, 1);

    writer->state = state;
    writer->tail = &writer->head;
    writer->batch = local_batch_new();
    writer->row = g_byte_array_new();
    log_wait_init(&writer->wait);
    ensure(pthread_create(&writer->thread, NULL, run_writer, writer) == 0);
    return writer;
}

void
local_writer_stop(LocalWriter *writer)
{
    log_wait_lock(&writer->wait);
    writer->stopping = TRUE;
    log_wait_wake(&writer->wait);
    log_wait_unlock(&writer->wait);
    ensure(pthread_join(writer->thread, NULL) == 0);

    log_wait_clear(&writer->wait);
    g_byte_array_unref(writer->row);
    local_batch_free(writer->batch);
    g_free(writer->failed);
    g_free(writer);
}
