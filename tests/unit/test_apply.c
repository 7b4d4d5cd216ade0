/*
 * The cell's heart, whole: events through a memory log into state and out as
 * pages. A random set of events is applied in many orders, over several
 * partitions, with repeats, with restarts and with tail checkpoints older
 * than the store; each time every dashboard and timeline must be what a plain
 * model says of the set (I1, I2; F14, F17, F18).
 */
#include "cell/apply.h"
#include "cell/facts.h"
#include "cell/page.h"
#include "firehose/partition.h"
#include "tests/kit/tmpdir.h"

#include <glib/gstdio.h>
#include <string.h>

#define READERS 4
#define AUTHORS 5
#define POSTS 400
#define EVENTS 900
#define PARTITIONS 3

/* ---- the set of events, and what it means ---- */

typedef struct World {
    GRand *rand;
    GPtrArray *events;             /* GByteArray: encoded Event */
    GArray *users;                 /* gint64, of each event: who acts */
    gint64 author_of[POSTS + 1];   /* 0: not written */
    gint64 basis_of[POSTS + 1];    /* post it replies to, 0: none */
    gboolean deleted[POSTS + 1];   /* by its author */
    gint64 edge[READERS][AUTHORS]; /* newest event's id, negative: unfollow */
} World;

static gint64
reader_id(guint reader)
{
    return 1000 + reader;
}

static gint64
author_id(guint author)
{
    return 2000 + author;
}

static void
world_add(World *world, GByteArray *draft, gint64 id, gint64 user)
{
    GByteArray *event = g_byte_array_new();
    Event decoded;
    EventFault fault;
    wire_write_stop(draft);
    WireBytes bytes = {draft->data, draft->len};
    g_assert_true(event_stamp(bytes, (EventId){id}, event, &decoded, &fault));
    g_ptr_array_add(world->events, event);
    g_array_append_val(world->users, user);
    g_byte_array_unref(draft);
}

static GByteArray *
draft_new(EventKind kind, gint64 user)
{
    GByteArray *draft = g_byte_array_new();
    wire_field_i32(draft, 3, (gint32)kind);
    wire_field_i64(draft, 4, user);
    return draft;
}

static void
world_post(World *world, gint64 id)
{
    guint author = (guint)g_rand_int_range(world->rand, 0, AUTHORS);
    gint64 basis = 0;
    if (g_rand_int_range(world->rand, 0, 8) == 0) {
        basis = g_rand_int_range(world->rand, 1, POSTS + 1);
        basis = basis == id ? 0 : basis;
    }
    GByteArray *draft = draft_new(EVENT_POST, author_id(author));
    wire_write_field(draft, WIRE_STRUCT, 7);
    wire_field_string(draft, 4, "text");
    if (basis != 0) {
        wire_field_i64(draft, id % 2 ? 6 : 7, basis);
    }
    wire_write_stop(draft);
    world_add(world, draft, id, author_id(author));
    world->author_of[id] = author_id(author);
    world->basis_of[id] = basis;
}

static void
world_delete(World *world, gint64 id)
{
    gint64 post = g_rand_int_range(world->rand, 1, POSTS + 1);
    gint64 actor = world->author_of[post];
    if (actor == 0 || g_rand_int_range(world->rand, 0, 4) == 0) {
        actor = author_id(AUTHORS); /* nobody's post: changes nothing */
    } else {
        world->deleted[post] = TRUE;
    }
    GByteArray *draft = draft_new(EVENT_DELETE, actor);
    wire_field_i64(draft, 6, post);
    world_add(world, draft, id, actor);
}

static void
world_edge(World *world, gint64 id)
{
    guint reader = (guint)g_rand_int_range(world->rand, 0, READERS);
    guint author = (guint)g_rand_int_range(world->rand, 0, AUTHORS);
    gboolean follow = g_rand_int_range(world->rand, 0, 5) != 0;
    GByteArray *draft =
        draft_new(follow ? EVENT_FOLLOW : EVENT_UNFOLLOW, reader_id(reader));
    wire_field_i64(draft, 5, author_id(author));
    world_add(world, draft, id, reader_id(reader));
    world->edge[reader][author] = follow ? id : -id;
}

/* Post ids are 1 to POSTS; the others' ids come after. Events are made in the
   order of their ids, so the last one made for an edge is the newest. */
static World *
world_new(guint32 seed)
{
    World *world = g_new0(World, 1);
    world->rand = g_rand_new_with_seed(seed);
    world->events =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    world->users = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (gint64 id = 1; id <= POSTS; id++) {
        if (g_rand_int_range(world->rand, 0, 20) != 0) {
            world_post(world, id);
        }
    }
    for (gint64 id = POSTS + 1; id <= EVENTS; id++) {
        if (id % 10 == 0) {
            world_delete(world, id);
        } else {
            world_edge(world, id);
        }
    }
    return world;
}

static void
world_free(World *world)
{
    g_rand_free(world->rand);
    g_ptr_array_unref(world->events);
    g_array_unref(world->users);
    g_free(world);
}

static gboolean
world_shows(const World *world, gint64 post)
{
    gint64 basis = world->basis_of[post];
    return world->author_of[post] != 0 && !world->deleted[post] &&
           (basis == 0 || world->author_of[basis] != 0);
}

static gboolean
world_on_dashboard(const World *world, guint reader, gint64 post)
{
    return world_shows(world, post) &&
           world->edge[reader][world->author_of[post] - author_id(0)] > 0;
}

/* ---- a cell without its sockets ---- */

typedef struct Rig {
    char *dir;
    LogCluster *cluster;
    Log *log;
    MapFeed *feed;
    State *state;
    Apply *apply;
} Rig;

static Log *
open_topic(LogCluster *cluster, const char *name, guint partitions)
{
    LogTopic topic = {.name = name,
                      .partitions = partitions,
                      .compacted = partitions == 1,
                      .retention_ms = -1};
    g_autoptr(GError) error = NULL;
    Log *log = log_open(cluster, &topic, TRUE, &error);
    g_assert_no_error(error);
    return log;
}

static Log *
open_control(gpointer user_data, GError **error)
{
    (void)error;
    return open_topic(user_data, LOG_CONTROL_TOPIC, 1);
}

/* Count acknowledgements. */
static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    _Atomic guint *count = user_data;
    for (gsize i = 0; i < n; i++) {
        g_assert_cmpint(acks[i].outcome, ==, LOG_APPENDED);
    }
    atomic_fetch_add(count, (guint)n);
}

static void
append(Log *log, guint partition, const void *data, gsize len)
{
    _Atomic guint acked = 0;
    LogEntry entry = {partition,
                      {(const guint8 *)CELLMAP_KEY, strlen(CELLMAP_KEY)},
                      {data, len}};
    log_append(log, &entry, 1, on_acked, &acked);
    while (atomic_load(&acked) == 0) {
        g_usleep(10);
    }
}

static void
rig_publish_map(Rig *rig)
{
    static char host[] = "127.0.0.1";
    CellMapEntry entry = {0, host, 1};
    g_autoptr(CellMap) map = cellmap_even(1, &entry, 1);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    cellmap_encode(map, bytes);
    Log *control = open_topic(rig->cluster, LOG_CONTROL_TOPIC, 1);
    append(control, 0, bytes->data, bytes->len);
    log_close(control);
}

static void
rig_start(Rig *rig)
{
    g_autoptr(GError) error = NULL;
    guint64 next[PARTITIONS];
    StateOptions options = {
        .dir = rig->dir,
        .identity = {0, log_identity(rig->log), PARTITIONS},
        .feed = rig->feed,
        .cache_bytes = 1 << 20,
    };
    rig->state = state_open(&options, next, &error);
    g_assert_no_error(error);
    ApplyOptions apply = {3600};
    rig->apply = apply_start(&apply, rig->state, rig->log, NULL, next);
}

static void
rig_stop(Rig *rig)
{
    apply_stop(rig->apply);
    state_close(rig->state);
}

static void
rig_init(Rig *rig)
{
    rig->dir = tmpdir_new();
    rig->cluster = log_cluster_memory();
    rig->log = open_topic(rig->cluster, LOG_FIREHOSE_TOPIC, PARTITIONS);
    rig_publish_map(rig);
    rig->feed = mapfeed_start(open_control, NULL, NULL, rig->cluster);
    rig_start(rig);
}

static void
rig_clear(Rig *rig)
{
    rig_stop(rig);
    mapfeed_stop(rig->feed);
    log_close(rig->log);
    log_cluster_close(rig->cluster);
    tmpdir_free(rig->dir);
}

/* Wait until all that is in the log is applied. */
static void
rig_settle(Rig *rig)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        guint64 first;
        guint64 end;
        g_assert_true(log_bounds(rig->log, i, &first, &end, NULL));
        while (atomic_load(&rig->state->next[i]) < end) {
            g_assert_null(state_stopped(rig->state));
            g_usleep(200);
        }
    }
}

static void
rig_append_event(Rig *rig, const World *world, guint event)
{
    const GByteArray *bytes = g_ptr_array_index(world->events, event);
    UserId user = {g_array_index(world->users, gint64, event)};
    guint8 key[PARTITION_KEY_BYTES];
    partition_key(user, key);
    append(rig->log, partition_of(key, sizeof key, PARTITIONS), bytes->data,
           bytes->len);
}

/* ---- pages ---- */

/* The post ids of an encoded Page, and its two cursors. */
static void
page_parse(const GByteArray *bytes, GArray *ids, char *older, gint32 *ret_end)
{
    WireReader reader;
    WireField field;
    wire_reader_init(&reader, bytes->data, bytes->len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == 1) {
            WireType type;
            guint32 n = wire_read_list(&reader, &type);
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
        } else if (field.id == 2) {
            WireBytes text = wire_read_bytes(&reader);
            memcpy(older, text.data, CURSOR_TEXT_BYTES);
        } else if (field.id == 4) {
            *ret_end = wire_read_i32(&reader);
        } else {
            wire_skip(&reader, field.type);
        }
    }
    g_assert_false(reader.failed);
}

/* All ids of a dashboard or timeline, paged by @limit. */
static GArray *
read_all(State *state, CursorKind kind, gint64 user, guint limit)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    PageQuery query = {kind, {user}, TRUE, G_MAXINT64, limit};
    gint32 end = 1;
    while (end == 1) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        char older[CURSOR_TEXT_BYTES];
        g_assert_true(page_write(state, &query, bytes));
        page_parse(bytes, ids, older, &end);
        WireBytes text = {(const guint8 *)older, CURSOR_TEXT_BYTES};
        g_assert_cmpint(cursor_read(text, kind, query.user, &query.from), ==,
                        CURSOR_GOOD);
    }
    return ids;
}

static void
check_ids(const World *world, State *state, CursorKind kind, guint who)
{
    gint64 user = kind == CURSOR_DASHBOARD ? reader_id(who) : author_id(who);
    g_autoptr(GArray) ids =
        read_all(state, kind, user, kind == CURSOR_DASHBOARD ? 7 : 100);
    guint at = 0;
    for (gint64 post = POSTS; post >= 1; post--) {
        gboolean want =
            kind == CURSOR_DASHBOARD
                ? world_on_dashboard(world, who, post)
                : world_shows(world, post) && world->author_of[post] == user;
        if (want) {
            g_assert_cmpuint(at, <, ids->len);
            g_assert_cmpint(g_array_index(ids, gint64, at++), ==, post);
        }
    }
    g_assert_cmpuint(at, ==, ids->len);
}

static void
check_world(const World *world, State *state)
{
    for (guint i = 0; i < READERS; i++) {
        check_ids(world, state, CURSOR_DASHBOARD, i);
    }
    for (guint i = 0; i < AUTHORS; i++) {
        check_ids(world, state, CURSOR_TIMELINE, i);
    }
}

static void
shuffle(GRand *rand, guint *order, guint n)
{
    for (guint i = n - 1; i > 0; i--) {
        guint j = (guint)g_rand_int_range(rand, 0, (gint32)i + 1);
        guint swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* ---- tests ---- */

/* Any order, repeats included, gives the pages of the set. */
static void
test_orders(void)
{
    for (guint round = 0; round < 4; round++) {
        World *world = world_new((guint32)g_test_rand_int());
        guint n = world->events->len;
        g_autofree guint *order = g_new(guint, 2 * n);
        for (guint i = 0; i < 2 * n; i++) {
            order[i] = i % n;
        }
        shuffle(world->rand, order, round == 0 ? n : 2 * n);
        Rig rig = {0};
        rig_init(&rig);
        for (guint i = 0; i < (round == 0 ? n : 2 * n); i++) {
            rig_append_event(&rig, world, order[i]);
        }
        rig_settle(&rig);
        check_world(world, rig.state);
        rig_clear(&rig);
        world_free(world);
    }
}

static void
copy_file(const char *from, const char *to)
{
    g_autofree char *data = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(from, &data, &len, NULL));
    g_assert_true(g_file_set_contents(to, data, (gssize)len, NULL));
}

/* Restarts with tails that are older than the store: replay repairs them. */
static void
test_old_tails(void)
{
    World *world = world_new((guint32)g_test_rand_int());
    guint n = world->events->len;
    g_autofree guint *order = g_new(guint, n);
    for (guint i = 0; i < n; i++) {
        order[i] = i;
    }
    shuffle(world->rand, order, n);
    Rig rig = {0};
    rig_init(&rig);
    g_autofree char *tails = g_build_filename(rig.dir, "tails", NULL);
    g_autofree char *kept = g_build_filename(rig.dir, "kept", NULL);
    for (guint i = 0; i < n; i++) {
        rig_append_event(&rig, world, order[i]);
        if (i % 200 == 50) {
            rig_settle(&rig);
            g_assert_true(apply_checkpoint(rig.apply, NULL));
            copy_file(tails, kept);
        } else if (i % 200 == 150) {
            rig_settle(&rig);
            rig_stop(&rig);
            copy_file(kept, tails);
            rig_start(&rig);
        }
    }
    rig_settle(&rig);
    rig_stop(&rig);
    copy_file(kept, tails);
    rig_start(&rig);
    rig_settle(&rig);
    check_world(world, rig.state);
    rig_clear(&rig);
    world_free(world);
}

/* A store that is older than its tails has lost rows: refused. */
static void
test_short_store(void)
{
    World *world = world_new(7);
    Rig rig = {0};
    rig_init(&rig);
    rig_append_event(&rig, world, 0);
    rig_settle(&rig);
    rig_stop(&rig);
    StoreBatch *batch;
    g_autofree char *dir = g_build_filename(rig.dir, "store", NULL);
    StoreOptions options = {dir, TRUE, FALSE, 1 << 20, 1 << 20};
    Store *store = store_open(&options, NULL);
    batch = store_batch_new(store);
    for (guint i = 0; i < PARTITIONS; i++) {
        store_batch_delete(batch, key_position(i));
    }
    g_assert_true(store_batch_commit(batch, NULL));
    g_assert_true(store_flush(store, NULL));
    store_batch_free(batch);
    store_close(store);
    guint64 next[PARTITIONS];
    StateOptions state_options = {
        .dir = rig.dir,
        .identity = {0, log_identity(rig.log), PARTITIONS},
        .feed = rig.feed,
    };
    g_autoptr(GError) error = NULL;
    g_assert_null(state_open(&state_options, next, &error));
    g_assert_nonnull(strstr(error->message, "has lost what it had"));
    tmpdir_free(rig.dir);
    rig.dir = tmpdir_new();
    rig_start(&rig);
    rig_clear(&rig);
    world_free(world);
}

/* Records that are no event are set aside, once, and do not stop the log. */
static void
test_quarantine(void)
{
    World *world = world_new(8);
    Rig rig = {0};
    rig_init(&rig);
    append(rig.log, 0, "rubbish", 7);
    append(rig.log, 1, "", 0);
    for (guint i = 0; i < world->events->len; i++) {
        rig_append_event(&rig, world, i);
    }
    rig_settle(&rig);
    g_assert_cmpuint(fact_quarantine_count(rig.state->store), ==, 2);
    check_world(world, rig.state);
    rig_stop(&rig);
    g_autofree char *tails = g_build_filename(rig.dir, "tails", NULL);
    g_autofree char *old = g_build_filename(rig.dir, "tails.old", NULL);
    g_assert_cmpint(g_rename(old, tails), ==, 0);
    rig_start(&rig);
    rig_settle(&rig);
    g_assert_cmpuint(fact_quarantine_count(rig.state->store), ==, 2);
    rig_clear(&rig);
    world_free(world);
}

static void
publish_post(Rig *rig, gint64 id, gsize body_bytes)
{
    g_autoptr(GByteArray) draft = draft_new(EVENT_POST, author_id(0));
    g_autoptr(GByteArray) event = g_byte_array_new();
    g_autofree guint8 *body = g_malloc0(body_bytes);
    guint8 key[PARTITION_KEY_BYTES];
    Event decoded;
    EventFault fault;
    wire_write_field(draft, WIRE_STRUCT, 7);
    wire_field_i32(draft, 3, POST_KIND_MAX);
    wire_field_bytes(draft, 4, body, body_bytes);
    if (id > 1) {
        wire_field_i64(draft, 6, 1);
        wire_field_i64(draft, 7, 1);
    }
    wire_write_stop(draft);
    wire_write_stop(draft);
    WireBytes bytes = {draft->data, draft->len};
    g_assert_true(event_stamp(bytes, (EventId){id}, event, &decoded, &fault));
    partition_key((UserId){author_id(0)}, key);
    append(rig->log, partition_of(key, sizeof key, PARTITIONS), event->data,
           event->len);
}

/* A page of the largest posts, with parents and originals, fits a frame, and
   paging on gives them all. */
static void
test_large_pages(void)
{
    Rig rig = {0};
    rig_init(&rig);
    for (gint64 id = 1; id <= 150; id++) {
        publish_post(&rig, id, BODY_BYTES_MAX);
    }
    rig_settle(&rig);
    PageQuery query = {
        CURSOR_TIMELINE, {author_id(0)}, TRUE, G_MAXINT64, PAGE_LIMIT_MAX};
    g_autoptr(GByteArray) page = g_byte_array_new();
    g_assert_true(page_write(rig.state, &query, page));
    g_assert_cmpuint(page->len, >, PAGE_BYTES_MAX / 2);
    g_assert_cmpuint(page->len, <, FRAME_BYTES_MAX / 4 * 3);
    g_autoptr(GArray) ids =
        read_all(rig.state, CURSOR_TIMELINE, author_id(0), PAGE_LIMIT_MAX);
    g_assert_cmpuint(ids->len, ==, 150);
    rig_clear(&rig);
}

static void
publish_edge(Rig *rig, EventKind kind, gint64 id, gint64 author)
{
    g_autoptr(GByteArray) event = g_byte_array_new();
    GByteArray *draft = draft_new(kind, reader_id(0));
    Event decoded;
    EventFault fault;
    guint8 key[PARTITION_KEY_BYTES];
    wire_field_i64(draft, 5, author);
    wire_write_stop(draft);
    g_assert_true(event_stamp((WireBytes){draft->data, draft->len},
                              (EventId){id}, event, &decoded, &fault));
    g_byte_array_unref(draft);
    partition_key((UserId){reader_id(0)}, key);
    append(rig->log, partition_of(key, sizeof key, PARTITIONS), event->data,
           event->len);
}

/* The reader's dashboard, twice: from the rows, and from what is kept. */
static void
check_dashboard_size(Rig *rig, guint n)
{
    rig_settle(rig);
    for (guint pass = 0; pass < 2; pass++) {
        g_autoptr(GArray) ids =
            read_all(rig->state, CURSOR_DASHBOARD, reader_id(0), 20);
        g_assert_cmpuint(ids->len, ==, n);
    }
}

/* Whom a reader follows is looked up in one piece up to 1,024 authors, then
   row by row. */
static void
test_many_follows(void)
{
    Rig rig = {0};
    rig_init(&rig);
    gint64 id = 1000;
    publish_post(&rig, 1, 10); /* by author 0 */
    for (gint64 author = 1; author <= 1022; author++) {
        publish_edge(&rig, EVENT_FOLLOW, id++, 100000 + author);
    }
    check_dashboard_size(&rig, 0);
    publish_edge(&rig, EVENT_FOLLOW, id++, author_id(0));
    check_dashboard_size(&rig, 1);
    for (gint64 author = 1023; author <= 1026; author++) {
        publish_edge(&rig, EVENT_FOLLOW, id++, 100000 + author);
        check_dashboard_size(&rig, 1);
    }
    publish_edge(&rig, EVENT_UNFOLLOW, id++, author_id(0));
    check_dashboard_size(&rig, 0);
    publish_edge(&rig, EVENT_FOLLOW, id++, author_id(0));
    check_dashboard_size(&rig, 1);
    rig_clear(&rig);
}

/* An empty database, as it is before a cell is founded. */
static void
make_empty_store(const char *dir)
{
    StoreOptions options = {dir, TRUE, FALSE, 1 << 20, 1 << 20};
    Store *store = store_open(&options, NULL);
    g_assert_nonnull(store);
    store_close(store);
}

/* A cell that died between its first tail file and its first rows is founded
   again; one whose store has gone from under its tails is refused. */
static void
test_founding(void)
{
    World *world = world_new(9);
    Rig rig = {0};
    rig_init(&rig);
    while (atomic_load(&rig.state->home) == NULL) {
        g_usleep(1000);
    }
    rig_stop(&rig);
    g_autofree char *store = g_build_filename(rig.dir, "store", NULL);
    g_autofree char *gone = g_build_filename(rig.dir, "gone", NULL);
    g_assert_cmpint(g_rename(store, gone), ==, 0);
    guint64 next[PARTITIONS];
    StateOptions options = {
        .dir = rig.dir,
        .identity = {0, log_identity(rig.log), PARTITIONS},
        .feed = rig.feed,
    };
    g_assert_null(state_open(&options, next, NULL));
    make_empty_store(store);
    rig_start(&rig);
    rig_append_event(&rig, world, 0);
    rig_settle(&rig);
    rig_clear(&rig);
    world_free(world);
}

/* ---- readers beside the writer ---- */

typedef struct ReaderThread {
    const World *world;
    State *state;
    guint reader;
    _Atomic gboolean *stop;
    guint pages; /* read in all */
} ReaderThread;

/* Whatever the moment, a dashboard falls strictly and shows written posts. */
static gpointer
read_on(gpointer user_data)
{
    ReaderThread *thread = user_data;
    while (!atomic_load(thread->stop)) {
        g_autoptr(GArray) ids = read_all(thread->state, CURSOR_DASHBOARD,
                                         reader_id(thread->reader), 50);
        gint64 above = POSTS + 1;
        for (guint i = 0; i < ids->len; i++) {
            gint64 id = g_array_index(ids, gint64, i);
            g_assert_cmpint(id, <, above);
            g_assert_cmpint(thread->world->author_of[id], !=, 0);
            above = id;
        }
        thread->pages++;
    }
    return NULL;
}

/* Readers on other threads never see a torn or mixed inbox. */
static void
test_readers(void)
{
    World *world = world_new((guint32)g_test_rand_int());
    Rig rig = {0};
    rig_init(&rig);
    _Atomic gboolean stop = FALSE;
    ReaderThread threads[2] = {0};
    pthread_t ids[G_N_ELEMENTS(threads)];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = (ReaderThread){world, rig.state, i, &stop, 0};
        g_assert_cmpint(pthread_create(&ids[i], NULL, read_on, &threads[i]), ==,
                        0);
    }
    for (guint round = 0; round < 3; round++) {
        for (guint i = 0; i < world->events->len; i++) {
            rig_append_event(&rig, world, (i * 7) % world->events->len);
        }
        rig_settle(&rig);
        g_assert_true(apply_checkpoint(rig.apply, NULL));
    }
    atomic_store(&stop, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_join(ids[i], NULL);
        g_assert_cmpuint(threads[i].pages, >, 0);
    }
    rig_clear(&rig);
    world_free(world);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apply/orders", test_orders);
    g_test_add_func("/apply/old-tails", test_old_tails);
    g_test_add_func("/apply/short-store", test_short_store);
    g_test_add_func("/apply/quarantine", test_quarantine);
    g_test_add_func("/apply/large-pages", test_large_pages);
    g_test_add_func("/apply/many-follows", test_many_follows);
    g_test_add_func("/apply/founding", test_founding);
    g_test_add_func("/apply/readers", test_readers);
    return g_test_run();
}
