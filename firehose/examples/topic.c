/*
 * topic.c - a consumer of the Kafka topic itself, without the gateway
 *
 *     gcc topic.c -o topic $(pkg-config --cflags --libs rdkafka glib-2.0)
 *     ./topic 127.0.0.1:9092 effects.txt
 *
 * Every event's effect, here a line of a file, happens once:
 *
 *     PARTITION OFFSET event ID KIND USER
 *     PARTITION OFFSET again ID               the log has it twice
 *     PARTITION OFFSET undecodable            no event; all readers pass over
 * it
 *
 * The file is the place, too: a line says that its offset is done, a last line
 * without an end was never written. So a kill at any moment costs nothing; in a
 * database, put effect and offset into one transaction.
 *
 * The topic's record is firehose/format.md. Values are read by hand, because
 * anybody may write to a topic: Thrift's C library hangs or crashes on bytes
 * that are no struct (libcomb-client mends that for answers of services only).
 * The reader below takes what it needs, never looks past the end, and passes
 * over fields it does not know. Where your language has a sound Thrift library,
 * use that with types.thrift. What is checked here is what this program relies
 * on; cells hold a record against every limit of the format.
 */
#include <glib.h>
#include <librdkafka/rdkafka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOPIC "comb.firehose.v1"
#define DEPTH_MAX 8
#define KIND_MAX 13
#define POLL_MS 200
#define BATCH_MAX 1000
#define BROKER_MS 10000

/* ---- the value ---- */

enum { T_STOP = 0, T_STRUCT = 12, T_MAP = 13, T_SET = 14, T_LIST = 15 };

typedef struct Reader {
    const guint8 *at;
    const guint8 *end;
    gboolean failed;
} Reader;

typedef struct Event {
    gint64 version;
    gint64 id;
    gint64 kind;
    gint64 user;
} Event;

/* A big-endian number of @bytes; 0 past the end, and failed. */
static gint64
read_number(Reader *reader, gsize bytes)
{
    guint64 number = 0;

    if (reader->failed || (gsize)(reader->end - reader->at) < bytes) {
        reader->failed = TRUE;
        return 0;
    }
    for (gsize i = 0; i < bytes; i++) {
        number = number << 8 | *reader->at++;
    }
    return bytes == 4   ? (gint32)(guint32)number
           : bytes == 2 ? (gint16)(guint16)number
                        : (gint64)number;
}

static void
skip_bytes(Reader *reader, gint64 bytes)
{
    if (bytes < 0 || bytes > reader->end - reader->at) {
        reader->failed = TRUE;
    } else {
        reader->at += bytes;
    }
}

static void skip(Reader *reader, int type, int depth);

/* So many elements, each of one or two types; none takes less than a byte. */
static void
skip_elements(Reader *reader, const int *types, int n_types, int depth)
{
    gint64 n = read_number(reader, 4);

    if (n < 0 || n > reader->end - reader->at) {
        reader->failed = TRUE;
    }
    for (gint64 i = 0; i < n * n_types && !reader->failed; i++) {
        skip(reader, types[i % n_types], depth - 1);
    }
}

static void
skip_struct(Reader *reader, int depth)
{
    int type;

    while ((type = (int)read_number(reader, 1)) != T_STOP && !reader->failed) {
        (void)read_number(reader, 2);
        skip(reader, type, depth - 1);
    }
}

/* Pass over one value. */
static void
skip(Reader *reader, int type, int depth)
{
    static const gint64 sizes[] = {
        [2] = 1, [3] = 1, [4] = 8, [6] = 2, [8] = 4, [10] = 8};
    int types[2];

    if (depth <= 0 || reader->failed) {
        reader->failed = TRUE;
    } else if (type == T_STRUCT) {
        skip_struct(reader, depth);
    } else if (type == T_MAP) {
        types[0] = (int)read_number(reader, 1);
        types[1] = (int)read_number(reader, 1);
        skip_elements(reader, types, 2, depth);
    } else if (type == T_LIST || type == T_SET) {
        types[0] = (int)read_number(reader, 1);
        skip_elements(reader, types, 1, depth);
    } else if (type == 11) {
        skip_bytes(reader, read_number(reader, 4));
    } else if (type >= 0 && type < (int)G_N_ELEMENTS(sizes) &&
               sizes[type] != 0) {
        skip_bytes(reader, sizes[type]);
    } else {
        reader->failed = TRUE;
    }
}

/* FALSE: no event that this program understands. */
static gboolean
event_read(const void *value, size_t len, Event *ret_event)
{
    static const int type_of[] = {[1] = 8, [2] = 10, [3] = 8, [4] = 10};
    Event event = {.version = 1};
    gint64 *field_of[] = {NULL, &event.version, &event.id, &event.kind,
                          &event.user};
    guint seen = 0;
    Reader reader = {value, (const guint8 *)value + len, len == 0};
    int type;

    while ((type = (int)read_number(&reader, 1)) != T_STOP && !reader.failed) {
        gint64 id = read_number(&reader, 2);
        if (id < 1 || id > 4) {
            skip(&reader, type, DEPTH_MAX);
        } else if (type != type_of[id] || (seen >> id & 1) != 0) {
            return FALSE;
        } else {
            seen |= 1U << id;
            *field_of[id] = read_number(&reader, type == 8 ? 4 : 8);
        }
    }
    *ret_event = event;
    return !reader.failed && reader.at == reader.end && event.version == 1 &&
           event.id > 0 && event.user > 0 && event.kind > 0 &&
           event.kind <= KIND_MAX;
}

/* Whether it is in the partition of its user: see format.md. */
static gboolean
is_in_place(const Event *event, gint32 partition, gint32 partitions)
{
    guint64 user = GUINT64_TO_BE((guint64)event->user);

    return rd_kafka_msg_partitioner_murmur2(
               NULL, &user, sizeof user, partitions, NULL, NULL) == partition;
}

/* ---- the effects ---- */

typedef struct Effects {
    FILE *file;
    GHashTable *ids; /* gint64, of every event that has had its effect */
    GArray *next;    /* gint64, by partition: the offset that must come */
} Effects;

static void
effects_done(Effects *effects, guint partition, gint64 offset)
{
    while (effects->next->len <= partition) {
        gint64 none = RD_KAFKA_OFFSET_BEGINNING;
        g_array_append_val(effects->next, none);
    }
    g_array_index(effects->next, gint64, partition) = offset + 1;
}

/* FALSE where it was there already. */
static gboolean
effects_note_id(Effects *effects, gint64 id)
{
    gint64 *key = g_new(gint64, 1);

    *key = id;
    return g_hash_table_add(effects->ids, key);
}

/* Read what earlier runs have written, and cut off a line without an end. */
static gboolean
effects_open(Effects *effects, const char *path)
{
    char line[256];
    long whole = 0;

    effects->ids =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    effects->next = g_array_new(FALSE, FALSE, sizeof(gint64));
    effects->file = fopen(path, "a+");
    if (effects->file == NULL) {
        return FALSE;
    }
    rewind(effects->file);
    while (fgets(line, sizeof line, effects->file) != NULL &&
           strchr(line, '\n') != NULL) {
        guint partition;
        gint64 offset;
        gint64 id = 0;

        if (sscanf(line, "%u %" G_GINT64_FORMAT " event %" G_GINT64_FORMAT,
                   &partition, &offset, &id) >= 2) {
            effects_done(effects, partition, offset);
        }
        if (id != 0) {
            (void)effects_note_id(effects, id);
        }
        whole = ftell(effects->file);
    }
    return ftruncate(fileno(effects->file), whole) == 0 &&
           fseek(effects->file, 0, SEEK_END) == 0;
}

static void
effects_apply(Effects *effects, const rd_kafka_message_t *message,
              gint32 partitions)
{
    Event event;

    fprintf(effects->file, "%d %" G_GINT64_FORMAT " ", message->partition,
            message->offset);
    if (!event_read(message->payload, message->len, &event) ||
        !is_in_place(&event, message->partition, partitions)) {
        fputs("undecodable\n", effects->file);
    } else if (!effects_note_id(effects, event.id)) {
        fprintf(effects->file, "again %" G_GINT64_FORMAT "\n", event.id);
    } else {
        fprintf(effects->file,
                "event %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                " %" G_GINT64_FORMAT "\n",
                event.id, event.kind, event.user);
    }
    effects_done(effects, (guint)message->partition, message->offset);
}

/* On disk, or the program ends: going on would lose what it has read. */
static void
effects_sync(Effects *effects)
{
    if (fflush(effects->file) != 0 || fdatasync(fileno(effects->file)) != 0) {
        perror("the effects cannot be written");
        exit(1);
    }
}

/* ---- the topic ---- */

static volatile sig_atomic_t stopping;

static void
stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

/* A client that loses nothing silently. */
static rd_kafka_t *
consumer_new(const char *brokers)
{
    const char *settings[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", "comb.example"},    /* assigned by hand; only a name */
        {"enable.auto.commit", "false"}, /* the place is in our file */
        {"auto.offset.reset", "error"},  /* expired: say so, do not jump */
        {"check.crcs", "true"},
        {"allow.auto.create.topics", "false"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[256] = "";

    for (gsize i = 0; i < G_N_ELEMENTS(settings); i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason,
                              sizeof reason) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", reason);
            return NULL;
        }
    }
    rd_kafka_t *consumer =
        rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (consumer == NULL) {
        fprintf(stderr, "%s\n", reason);
    }
    return consumer;
}

/* How many partitions there are, all of which are read from now on; 0: the
   brokers do not answer, or there is no such topic. */
static gint32
consumer_assign(rd_kafka_t *consumer, const Effects *effects)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, TOPIC, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t failed =
        rd_kafka_metadata(consumer, 0, topic, &metadata, BROKER_MS);
    gint32 n = failed == 0 && metadata->topics[0].err == 0
                   ? metadata->topics[0].partition_cnt
                   : 0;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(n);

    for (gint32 i = 0; i < n; i++) {
        rd_kafka_topic_partition_list_add(list, TOPIC, i)->offset =
            (guint)i < effects->next->len
                ? g_array_index(effects->next, gint64, i)
                : RD_KAFKA_OFFSET_BEGINNING;
    }
    if (n > 0 && rd_kafka_assign(consumer, list) != 0) {
        n = 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (failed == 0) {
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return n;
}

/* Whether it is the record that must come next; any is, at first. */
static gboolean
is_next(const Effects *effects, const rd_kafka_message_t *message)
{
    guint partition = (guint)message->partition;
    gint64 next = partition < effects->next->len
                      ? g_array_index(effects->next, gint64, partition)
                      : RD_KAFKA_OFFSET_BEGINNING;

    return next == RD_KAFKA_OFFSET_BEGINNING || next == message->offset;
}

/* FALSE: the log is not the one that was read so far. Brokers that are away
   are librdkafka's affair: it comes back when they do. */
static gboolean
take(Effects *effects, const rd_kafka_message_t *message, gint32 partitions)
{
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        fprintf(stderr, "partition %d: the next record is gone: %s\n",
                message->partition, rd_kafka_message_errstr(message));
        return FALSE;
    }
    if (message->err != 0) {
        fprintf(stderr, "%s\n", rd_kafka_message_errstr(message));
        return TRUE;
    }
    if (!is_next(effects, message)) {
        fprintf(stderr,
                "partition %d: a record is missing before %" PRId64 "\n",
                message->partition, message->offset);
        return FALSE;
    }
    effects_apply(effects, message, partitions);
    return TRUE;
}

/* What is at hand, then a sync. */
static gboolean
consume(rd_kafka_t *consumer, Effects *effects, gint32 partitions)
{
    gboolean sound = TRUE;

    while (!stopping && sound) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, POLL_MS);
        guint n = 0;

        while (message != NULL) {
            sound = sound && take(effects, message, partitions);
            rd_kafka_message_destroy(message);
            message = sound && ++n < BATCH_MAX
                          ? rd_kafka_consumer_poll(consumer, 0)
                          : NULL;
        }
        effects_sync(effects);
    }
    return sound;
}

int
main(int argc, char **argv)
{
    Effects effects = {0};

    if (argc != 3) {
        fputs("usage: topic BROKERS FILE\n", stderr);
        return 2;
    }
    if (!effects_open(&effects, argv[2])) {
        perror(argv[2]);
        return 1;
    }
    (void)signal(SIGTERM, stop);
    (void)signal(SIGINT, stop);
    rd_kafka_t *consumer = consumer_new(argv[1]);
    gint32 partitions = 0;
    while (consumer != NULL && partitions == 0 && !stopping) {
        partitions = consumer_assign(consumer, &effects);
        if (partitions == 0) {
            fputs("no answer about the topic; again in a second\n", stderr);
            sleep(1);
        }
    }
    gboolean sound =
        consumer != NULL && consume(consumer, &effects, partitions);
    if (consumer != NULL) {
        (void)rd_kafka_consumer_close(consumer);
        rd_kafka_destroy(consumer);
    }
    (void)fclose(effects.file);
    g_array_unref(effects.next);
    g_hash_table_unref(effects.ids);
    return sound ? 0 : 1;
}
