/*
 * The memory budget (StateOptions.memory_bytes): near it tails are sealed
 * early, which nobody sees; where users and follows alone pass it, applying
 * stops with a reason and pages are served on.
 */
#include "cell/apply.h"
#include "cell/ingest.h"
#include "cell/page.h"
#include "firehose/partition.h"
#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define READERS 1500
#define AUTHORS 12
/* Of each author; a dashboard's fit a tail. */
#define POSTS 20
/* What the budget leaves to tails before it is near, in bytes. */
#define TAILS_BYTES (150 << 10)

/* ---- a cell that is stepped by hand ---- */

typedef struct Rig {
    char *dir;
    LogCluster *cluster;
    Log *log;
    State *state;
    Ingest *ingest;
    gint64 last; /* event id given */
    gsize live;  /* most that was in use after a step */
} Rig;

static CellMap *
map_new(void)
{
    static char host[] = "127.0.0.1";
    CellMapEntry entry = {0, host, 1};
    return cellmap_even(1, &entry, 1);
}

static void
rig_open(Rig *rig, gsize memory_bytes)
{
    g_autoptr(GError) error = NULL;
    guint64 next;
    StateOptions options = {
        .dir = rig->dir,
        .identity = {0, log_identity(rig->log), 1},
        .memory_bytes = memory_bytes,
    };
    rig->state = state_open(&options, &next, &error);
    g_assert_no_error(error);
    rig->ingest = ingest_new(rig->state, rig->log, NULL, &next);
    if (atomic_load(&rig->state->home) == NULL) {
        g_autoptr(CellMap) map = map_new();
        g_assert_true(ingest_found(rig->ingest, map, NULL));
    }
    g_assert_true(ingest_open(rig->ingest, NULL));
}

static void
rig_close(Rig *rig)
{
    ingest_free(rig->ingest);
    state_close(rig->state);
}

static void
rig_init(Rig *rig, gsize memory_bytes)
{
    LogTopic topic = {
        .name = LOG_FIREHOSE_TOPIC, .partitions = 1, .retention_ms = -1};
    rig->dir = tmpdir_new();
    rig->cluster = log_cluster_memory();
    rig->log = log_open(rig->cluster, &topic, TRUE, NULL);
    g_assert_nonnull(rig->log);
    rig->last = id_make(G_GINT64_CONSTANT(1700000000000), 0, 0);
    rig_open(rig, memory_bytes);
}

static void
rig_clear(Rig *rig)
{
    rig_close(rig);
    log_close(rig->log);
    log_cluster_close(rig->cluster);
    tmpdir_free(rig->dir);
}

static void
acked(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)user_data;
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(acks[0].outcome, ==, LOG_APPENDED);
}

/* Take over @draft as the next event, some seconds after the last. */
static void
rig_append(Rig *rig, GByteArray *draft, UserId user)
{
    g_autoptr(GByteArray) event = g_byte_array_new();
    Event decoded;
    EventFault fault;
    guint8 key[PARTITION_KEY_BYTES];
    wire_write_stop(draft);
    rig->last += id_make(3000 + rig->last % 7, 0, 0);
    g_assert_true(event_stamp((WireBytes){draft->data, draft->len},
                              (EventId){rig->last}, event, &decoded, &fault));
    partition_key(user, key);
    LogEntry entry = {0, {key, sizeof key}, {event->data, event->len}};
    log_append(rig->log, &entry, 1, acked, NULL);
    g_byte_array_unref(draft);
}

static GByteArray *
draft_new(EventKind kind, UserId user)
{
    GByteArray *draft = g_byte_array_new();
    wire_field_i32(draft, 3, (gint32)kind);
    wire_field_i64(draft, 4, user.v);
    return draft;
}

static UserId
reader_id(guint reader)
{
    return (UserId){1000 + (gint64)reader};
}

static UserId
author_id(guint author)
{
    return (UserId){1000000 + (gint64)author};
}

static void
add_edge(Rig *rig, EventKind kind, guint reader, guint author)
{
    GByteArray *draft = draft_new(kind, reader_id(reader));
    wire_field_i64(draft, 5, author_id(author).v);
    rig_append(rig, draft, reader_id(reader));
}

static void
add_post(Rig *rig, guint author)
{
    GByteArray *draft = draft_new(EVENT_POST, author_id(author));
    wire_write_field(draft, WIRE_STRUCT, 7);
    wire_field_string(draft, 4, "text");
    wire_write_stop(draft);
    rig_append(rig, draft, author_id(author));
}

/* Apply what is in the log; FALSE where applying fails. */
static gboolean
rig_settle(Rig *rig, GError **error)
{
    guint64 first;
    guint64 end;
    g_assert_true(log_bounds(rig->log, 0, &first, &end, NULL));
    while (ingest_next(rig->ingest)[0] < end || ingest_pending(rig->ingest)) {
        if (ingest_step(rig->ingest, 10, error) == INGEST_FAILED) {
            return FALSE;
        }
        rig->live = MAX(rig->live, state_note_memory(rig->state));
    }
    return TRUE;
}

static void
rig_settle_well(Rig *rig)
{
    g_autoptr(GError) error = NULL;
    rig_settle(rig, &error);
    g_assert_no_error(error);
}

static gint64
metric(const Rig *rig, StateMetric which)
{
    return atomic_load(&rig->state->metrics[which].value);
}

/* ---- pages ---- */

/* The posts of an encoded Page; *ret_more: its cursor goes on from them. */
static void
page_parse(const GByteArray *bytes, GArray *ids, gboolean *ret_more)
{
    WireReader reader;
    WireField field;
    wire_reader_init(&reader, bytes->data, bytes->len);
    while (wire_read_field(&reader, &field)) {
        WireType type;
        guint32 n = field.id == 1 ? wire_read_list(&reader, &type) : 0;
        for (; n > 0; n--) {
            WireReader entry;
            WireField post_field;
            Post post;
            WireBytes value = wire_read_value(&reader, WIRE_STRUCT);
            wire_reader_init(&entry, value.data, value.len);
            g_assert_true(wire_read_field(&entry, &post_field));
            g_assert_true(
                post_decode(wire_read_value(&entry, WIRE_STRUCT), &post));
            g_array_append_val(ids, post.id.v);
        }
        if (field.id == 4) {
            *ret_more = wire_read_i32(&reader) == 1;
        } else if (field.id != 1) {
            wire_skip(&reader, field.type);
        }
    }
    g_assert_false(reader.failed);
}

/* A whole dashboard, page by page. */
static GArray *
read_dashboard(const Rig *rig, guint reader)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    PageQuery query = {CURSOR_DASHBOARD, reader_id(reader), TRUE, G_MAXINT64,
                       50};
    gboolean more = TRUE;
    while (more) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_assert_true(page_write(rig->state, &query, bytes));
        page_parse(bytes, ids, &more);
        if (ids->len > 0) {
            query.from = g_array_index(ids, gint64, ids->len - 1);
        }
    }
    return ids;
}

static void
compare_dashboards(const Rig *a, const Rig *b)
{
    for (guint reader = 0; reader < READERS; reader += 7) {
        g_autoptr(GArray) left = read_dashboard(a, reader);
        g_autoptr(GArray) right = read_dashboard(b, reader);
        g_assert_cmpuint(left->len, ==, right->len);
        g_assert_cmpuint(left->len, >, 0);
        for (guint i = 0; i < left->len; i++) {
            g_assert_cmpint(g_array_index(left, gint64, i), ==,
                            g_array_index(right, gint64, i));
        }
    }
}

/* ---- the same events for all ---- */

static void
add_follows(Rig *rig)
{
    for (guint reader = 0; reader < READERS; reader++) {
        for (guint author = 0; author < AUTHORS; author++) {
            if ((reader + author) % 7 != 0) {
                add_edge(rig, EVENT_FOLLOW, reader, author);
            }
        }
    }
    rig_settle_well(rig);
}

/* Posts in small batches, and now and then somebody changes their mind. */
static void
add_posts(Rig *rig)
{
    for (guint i = 0; i < POSTS; i++) {
        for (guint author = 0; author < AUTHORS; author++) {
            add_post(rig, author);
        }
        rig_settle_well(rig);
        guint reader = 13 * i % READERS;
        add_edge(rig, EVENT_UNFOLLOW, reader, i % AUTHORS);
        add_edge(rig, EVENT_FOLLOW, (reader + 6) % READERS, i % AUTHORS);
        rig_settle_well(rig);
    }
}

static gsize
live_after_follows(void)
{
    Rig rig = {0};
    rig_init(&rig, 0);
    add_follows(&rig);
    gsize live = state_note_memory(rig.state);
    rig_clear(&rig);
    return live;
}

/* A budget that follows and some of the tails fit into. */
static gsize
budget_with_tails(void)
{
    return (live_after_follows() + TAILS_BYTES) / 9 * 10;
}

/* ---- tests ---- */

/* With a small budget tails are sealed long before they are full, and memory
   in use stays below it, whatever comes. */
static void
test_seals_early(void)
{
    gsize budget = budget_with_tails();
    Rig free = {0};
    Rig rig = {0};
    rig_init(&free, 0);
    rig_init(&rig, budget);
    add_follows(&free);
    add_follows(&rig);
    add_posts(&free);
    add_posts(&rig);
    g_assert_cmpint(metric(&free, METRIC_SEALED), ==, 0);
    g_assert_cmpuint(free.live, >, budget);
    g_assert_cmpint(metric(&rig, METRIC_SEALED), >, 0);
    g_assert_cmpuint(rig.live, <, budget);
    gsize held = (gsize)metric(&rig, METRIC_INBOX_BYTES) +
                 (gsize)metric(&rig, METRIC_FOLLOWER_BYTES);
    g_test_message("budget %" G_GSIZE_FORMAT " live %" G_GSIZE_FORMAT
                   " held %" G_GSIZE_FORMAT " without %" G_GSIZE_FORMAT,
                   budget, rig.live, held, free.live);
    rig_clear(&free);
    rig_clear(&rig);
}

/* Nobody sees a budget: dashboards are those of a cell that has none, also
   after a restart with a larger one. */
static void
test_same_pages(void)
{
    Rig free = {0};
    Rig rig = {0};
    rig_init(&free, 0);
    rig_init(&rig, budget_with_tails());
    add_follows(&free);
    add_follows(&rig);
    add_posts(&free);
    add_posts(&rig);
    compare_dashboards(&free, &rig);
    rig_clear(&free);
    rig_clear(&rig);
}

/* Until the budget is near nothing is sealed early. */
static void
test_plenty(void)
{
    Rig rig = {0};
    rig_init(&rig, (gsize)1 << 30);
    add_follows(&rig);
    add_posts(&rig);
    g_assert_cmpint(metric(&rig, METRIC_SEALED), ==, 0);
    rig_clear(&rig);
}

/* Fail as one does whose users and follows alone do not fit. */
static void
fill_up(Rig *rig, GError **error)
{
    for (guint i = 0; i < 20; i++) {
        add_post(rig, i % AUTHORS);
        add_edge(rig, EVENT_FOLLOW, i, i % AUTHORS);
        if (!rig_settle(rig, error)) {
            return;
        }
    }
}

/* Where users and follows alone pass the budget the step fails, after tails
   were sealed in vain, and says which setting to raise. */
static void
test_stops(void)
{
    g_autoptr(GError) error = NULL;
    Rig rig = {0};
    rig_init(&rig, 64 << 10);
    fill_up(&rig, &error);
    g_assert_error(error, COMB_ERROR, COMB_ERROR_FULL);
    g_assert_nonnull(strstr(error->message, "memory-mb"));
    g_assert_nonnull(strstr(error->message, " follows"));
    g_assert_cmpint(metric(&rig, METRIC_SEALED), >, 0);
    rig_clear(&rig);
}

/* A restart with memory enough goes on where it stopped, and misses nothing. */
static void
test_goes_on(void)
{
    g_autoptr(GError) error = NULL;
    Rig rig = {0};
    rig_init(&rig, 64 << 10);
    add_edge(&rig, EVENT_FOLLOW, READERS, 0);
    for (guint i = 0; i < 40; i++) {
        add_post(&rig, 0);
        if (error == NULL) {
            rig_settle(&rig, &error);
        }
    }
    g_assert_error(error, COMB_ERROR, COMB_ERROR_FULL);
    g_assert_cmpuint(ingest_next(rig.ingest)[0], <, 41);
    rig_close(&rig);
    rig_open(&rig, 0);
    rig_settle_well(&rig);
    g_autoptr(GArray) ids = read_dashboard(&rig, READERS);
    g_assert_cmpuint(ids->len, ==, 40);
    rig_clear(&rig);
}

/* Batches that each fill the budget, and each can be sealed away, are no
   reason to stop. */
static void
test_large_batches(void)
{
    g_autoptr(GError) error = NULL;
    Rig rig = {0};
    rig_init(&rig, budget_with_tails());
    add_follows(&rig);
    for (guint i = 0; i < 1500; i++) {
        add_post(&rig, i % AUTHORS);
    }
    rig_settle(&rig, &error);
    g_assert_no_error(error);
    rig_clear(&rig);
}

/* The thread stops by name, pages are served on, and say why they are old. */
static void
test_served_on(void)
{
    Rig rig = {0};
    rig_init(&rig, 64 << 10);
    guint64 next = ingest_next(rig.ingest)[0];
    add_edge(&rig, EVENT_FOLLOW, 0, 0);
    add_post(&rig, 0);
    ApplyOptions options = {3600};
    Apply *apply = apply_start(&options, rig.state, rig.log, NULL, &next);
    for (guint i = 0; state_stopped(rig.state) == NULL; i++) {
        g_assert_cmpuint(i, <, 10000);
        add_post(&rig, 0);
        g_usleep(2000);
    }
    g_assert_nonnull(strstr(state_stopped(rig.state), "memory-mb"));
    g_autoptr(GArray) ids = read_dashboard(&rig, 0);
    g_assert_cmpuint(ids->len, >, 0);
    PageQuery query = {CURSOR_DASHBOARD, reader_id(0), TRUE, G_MAXINT64, 5};
    g_autoptr(GByteArray) page = g_byte_array_new();
    g_assert_true(page_write(rig.state, &query, page));
    g_assert_nonnull(memmem(page->data, page->len, "memory-mb", 9));
    apply_stop(apply);
    rig_clear(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/budget/seals-early", test_seals_early);
    g_test_add_func("/budget/same-pages", test_same_pages);
    g_test_add_func("/budget/plenty", test_plenty);
    g_test_add_func("/budget/stops", test_stops);
    g_test_add_func("/budget/goes-on", test_goes_on);
    g_test_add_func("/budget/large-batches", test_large_batches);
    g_test_add_func("/budget/served-on", test_served_on);
    return g_test_run();
}
