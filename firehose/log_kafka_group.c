/*
 * log_kafka_group.c - consumers' places as the offsets of consumer groups
 *
 * A client is the consumer group of its name, so that Kafka's own tools show
 * its lag and reset it. Its offsets are read and altered by the admin
 * requests those tools use, as by nobody's member: a group that has members
 * refuses to be altered from outside.
 *
 * A member (KafkaMember) takes part in the group's protocol and does nothing
 * else: what it is assigned is paused at once, and a reader of the usual kind
 * reads it, with all its checks. Members rebalance eagerly: all give up all
 * they have, then get theirs. In between nothing is to be read; what a member
 * gets back was nobody's meanwhile, unless the assignment was lost.
 *
 * The first request for a group makes the brokers' topic of offsets; until
 * its coordinator is there, and while it loads, they are asked again.
 */
#include "firehose/log_check.h"
#include "firehose/log_kafka_private.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <pthread.h>
#include <string.h>

#define RETRY_US (50 * 1000)

/* TRUE after a moment's sleep: the coordinator may be there by now. */
static gboolean
wait_for_coordinator(rd_kafka_resp_err_t err, gint64 until_us)
{
    gboolean passes = err == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
                      err == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
                      err == RD_KAFKA_RESP_ERR_NOT_COORDINATOR;

    if (!passes || g_get_monotonic_time() > until_us) {
        return FALSE;
    }
    g_usleep(RETRY_US);
    return TRUE;
}

static rd_kafka_resp_err_t
error_of(const rd_kafka_group_result_t *group)
{
    const rd_kafka_error_t *whole = rd_kafka_group_result_error(group);
    const rd_kafka_topic_partition_list_t *parts =
        rd_kafka_group_result_partitions(group);

    if (whole != NULL) {
        return rd_kafka_error_code(whole);
    }
    for (gint i = 0; parts != NULL && i < parts->cnt; i++) {
        if (parts->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return parts->elems[i].err;
        }
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* The group's result in the answer of either request; NULL with *ret_err. */
static const rd_kafka_group_result_t *
read_answer(rd_kafka_event_t *answer, rd_kafka_resp_err_t *ret_err)
{
    const rd_kafka_group_result_t **groups;
    gsize n;

    *ret_err = answer == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT
                              : rd_kafka_event_error(answer);
    if (*ret_err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return NULL;
    }
    if (rd_kafka_event_type(answer) ==
        RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT) {
        groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(answer), &n);
    } else {
        groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(answer), &n);
    }
    ensure(n == 1);
    *ret_err = error_of(groups[0]);
    return *ret_err == RD_KAFKA_RESP_ERR_NO_ERROR ? groups[0] : NULL;
}

static void
note_places(const rd_kafka_topic_partition_list_t *parts, guint64 *ret_next)
{
    for (gint i = 0; i < parts->cnt; i++) {
        gint64 offset = parts->elems[i].offset;

        ret_next[parts->elems[i].partition] =
            offset < 0 ? LOG_NO_PLACE : (guint64)offset;
    }
}

static rd_kafka_resp_err_t
load_once(KafkaClient *client, const char *group,
          const rd_kafka_topic_partition_list_t *parts, guint64 *ret_next)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(client->producer);
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(group, parts);
    const rd_kafka_group_result_t *result;
    rd_kafka_resp_err_t err;
    rd_kafka_event_t *answer;

    rd_kafka_ListConsumerGroupOffsets(client->producer, &request, 1, NULL,
                                      answers);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    answer = kafka_await_admin(client, answers);
    result = read_answer(answer, &err);
    if (result != NULL) {
        note_places(rd_kafka_group_result_partitions(result), ret_next);
    }
    if (answer != NULL) {
        rd_kafka_event_destroy(answer);
    }
    return err;
}

static rd_kafka_resp_err_t
store_once(KafkaClient *client, const char *group,
           const rd_kafka_topic_partition_list_t *parts)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(client->producer);
    rd_kafka_AlterConsumerGroupOffsets_t *request =
        rd_kafka_AlterConsumerGroupOffsets_new(group, parts);
    rd_kafka_resp_err_t err;
    rd_kafka_event_t *answer;

    rd_kafka_AlterConsumerGroupOffsets(client->producer, &request, 1, NULL,
                                       answers);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    answer = kafka_await_admin(client, answers);
    (void)read_answer(answer, &err);
    if (answer != NULL) {
        rd_kafka_event_destroy(answer);
    }
    return err;
}

gboolean
kafka_client_load_place(KafkaClient *client, const char *group,
                        guint partitions, guint64 *ret_next, GError **error)
{
    gint64 until_us = kafka_request_until_us(client);
    rd_kafka_topic_partition_list_t *parts =
        rd_kafka_topic_partition_list_new((gint)partitions);
    rd_kafka_resp_err_t err;

    for (guint i = 0; i < partitions; i++) {
        rd_kafka_topic_partition_list_add(parts, client->name, (gint32)i);
        ret_next[i] = LOG_NO_PLACE;
    }
    do {
        err = load_once(client, group, parts, ret_next);
    } while (wait_for_coordinator(err, until_us));
    rd_kafka_topic_partition_list_destroy(parts);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ||
           kafka_fail(client, "reading a group's offsets", err, error);
}

gboolean
kafka_client_store_place(KafkaClient *client, const char *group,
                         guint partitions, const guint64 *next, GError **error)
{
    gint64 until_us = kafka_request_until_us(client);
    rd_kafka_topic_partition_list_t *parts =
        kafka_make_places(client->name, next, partitions);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (parts->cnt > 0) {
        do {
            err = store_once(client, group, parts);
        } while (wait_for_coordinator(err, until_us));
    }
    rd_kafka_topic_partition_list_destroy(parts);
    if (err == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) {
        return log_check_idle(group, error);
    }
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ||
           kafka_fail(client, "storing a group's offsets", err, error);
}

/* ---- members ---- */

struct KafkaMember {
    const KafkaClient *client;
    rd_kafka_t *consumer;
    char *group;
    guint partitions;
    pthread_mutex_t mutex; /* guards the rest */
    gboolean *mine;        /* by partition */
    gboolean between;      /* given up, and not got yet */
    gboolean moved;        /* since the last poll */
};

static void
take_assignment(KafkaMember *member,
                const rd_kafka_topic_partition_list_t *parts)
{
    memset(member->mine, 0, member->partitions * sizeof *member->mine);
    for (gint i = 0; i < parts->cnt; i++) {
        guint partition = (guint)parts->elems[i].partition;

        if (partition < member->partitions) {
            member->mine[partition] = TRUE;
        }
    }
    member->between = FALSE;
    member->moved = TRUE;
}

/* Within kafka_member_poll() or _close(). */
static void
rebalance(rd_kafka_t *consumer, rd_kafka_resp_err_t err,
          rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    KafkaMember *member = opaque;

    pthread_mutex_lock(&member->mutex);
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(consumer, parts);
        rd_kafka_pause_partitions(consumer, parts);
        take_assignment(member, parts);
    } else {
        if (rd_kafka_assignment_lost(consumer)) {
            memset(member->mine, 0, member->partitions * sizeof *member->mine);
            member->moved = TRUE;
        }
        member->between = TRUE;
        rd_kafka_assign(consumer, NULL);
    }
    pthread_mutex_unlock(&member->mutex);
}

KafkaMember *
kafka_member_open(KafkaClient *client, const char *group, guint partitions,
                  GError **error)
{
    KafkaMember *member = g_new0(KafkaMember, 1);
    rd_kafka_topic_partition_list_t *topics;
    rd_kafka_resp_err_t err;

    member->client = client;
    member->group = g_strdup(group);
    member->partitions = partitions;
    member->mine = g_new0(gboolean, partitions);
    pthread_mutex_init(&member->mutex, NULL);
    member->consumer =
        kafka_make_consumer(client, group, rebalance, member, error);
    if (member->consumer == NULL) {
        kafka_member_close(member);
        return NULL;
    }
    topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, client->name,
                                      RD_KAFKA_PARTITION_UA);
    err = rd_kafka_subscribe(member->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_fail(client, "joining a group", err, error);
        kafka_member_close(member);
        return NULL;
    }
    return member;
}

void
kafka_member_close(KafkaMember *member)
{
    if (member->consumer != NULL) {
        rd_kafka_consumer_close(member->consumer);
        rd_kafka_destroy(member->consumer);
    }
    pthread_mutex_destroy(&member->mutex);
    g_free(member->group);
    g_free(member->mine);
    g_free(member);
}

/* What comes is no record that is wanted: all partitions are paused. */
static gboolean
serve(KafkaMember *member, gint timeout_ms, GError **error)
{
    rd_kafka_message_t *message =
        rd_kafka_consumer_poll(member->consumer, timeout_ms);
    gboolean fatal =
        message != NULL && message->err == RD_KAFKA_RESP_ERR__FATAL;

    if (fatal) {
        kafka_fail(member->client, "taking part in a group", message->err,
                   error);
    }
    if (message != NULL) {
        rd_kafka_message_destroy(message);
    }
    return !fatal;
}

LogSeatOutcome
kafka_member_poll(KafkaMember *member, gint timeout_ms, gboolean *ret_mine,
                  GError **error)
{
    LogSeatOutcome outcome = LOG_SEAT_SAME;

    if (!serve(member, timeout_ms, error)) {
        return LOG_SEAT_FAILED;
    }
    pthread_mutex_lock(&member->mutex);
    if (member->moved) {
        outcome = LOG_SEAT_MOVED;
        memcpy(ret_mine, member->mine,
               member->partitions * sizeof *member->mine);
        member->moved = FALSE;
    } else if (member->between) {
        outcome = LOG_SEAT_WAIT;
    }
    pthread_mutex_unlock(&member->mutex);
    return outcome;
}

static gboolean
holds_all(KafkaMember *member, const guint64 *next)
{
    gboolean holds = TRUE;

    pthread_mutex_lock(&member->mutex);
    for (guint i = 0; i < member->partitions; i++) {
        holds = holds && (next[i] == LOG_NO_PLACE || member->mine[i]);
    }
    pthread_mutex_unlock(&member->mutex);
    return holds;
}

/* The group has moved on without us. */
static gboolean
is_fenced(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
           err == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
           err == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
}

gboolean
kafka_member_commit(KafkaMember *member, const guint64 *next, GError **error)
{
    rd_kafka_topic_partition_list_t *parts;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (!holds_all(member, next)) {
        return log_check_held(member->group, error);
    }
    parts = kafka_make_places(member->client->name, next, member->partitions);
    if (parts->cnt > 0) {
        err = rd_kafka_commit(member->consumer, parts, 0);
    }
    rd_kafka_topic_partition_list_destroy(parts);
    if (is_fenced(err)) {
        return log_check_held(member->group, error);
    }
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ||
           kafka_fail(member->client, "committing as a member", err, error);
}
