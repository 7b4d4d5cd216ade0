/*
 * log_kafka_group.c - consumers' places as the offsets of consumer groups
 *
 * A client is the consumer group of its name, so that Kafka's own tools show
 * its lag and reset it. Its offsets are read and altered by the admin
 * requests those tools use, as by nobody's member: a group that has members
 * refuses to be altered from outside.
 *
 * The first request for a group makes the brokers' topic of offsets; until
 * its coordinator is there, and while it loads, they are asked again.
 */
#include "firehose/log_check.h"
#include "firehose/log_kafka_private.h"
#include "ops/kit/ensure.h"

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
        rd_kafka_topic_partition_list_new((gint)partitions);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (guint i = 0; i < partitions; i++) {
        if (next[i] != LOG_NO_PLACE) {
            rd_kafka_topic_partition_list_add(parts, client->name, (gint32)i)
                ->offset = (gint64)next[i];
        }
    }
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
