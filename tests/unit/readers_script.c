#include "tests/unit/readers_script.h"

#include "cell/ids.h"
#include "firehose/event.h"

#include <string.h>

/* Users who follow C and whose dashboards nobody reads. */
#define CROWD 40
/* When the last readers come: their inboxes are the last to be reached by
   fan-outs; the first readers' are the first. */
#define LAST_READERS_AT 200
#define FIRST_MS G_GINT64_CONSTANT(1700000000000)
/* The node whose events come late. */
#define LATE_NODE 200

/* Values of dashboard.thrift. */
#define PAGE_MORE 1
#define PAGE_NOTHING_NEWER_YET 2
#define PAGE_END_OF_INBOX 3

static UserId
script_author(ScriptAuthor author)
{
    return (UserId){2000 + (gint64)author};
}

UserId
script_reader(guint reader)
{
    return (UserId){1000 + reader};
}

/* ---- making it ---- */

static guint
script_roll(Script *script, guint low, guint high)
{
    return (guint)g_rand_int_range(script->rand, (gint32)low, (gint32)high + 1);
}

static gboolean
script_percent(Script *script, guint percent)
{
    return script_roll(script, 0, 99) < percent;
}

static gint64
script_new_id(Script *script)
{
    script->ms += script_roll(script, 1, 5);
    return id_make(script->ms, script_roll(script, 0, 3),
                   script_roll(script, 1, 5));
}

/* An id of some time ago, mostly not long. */
static gint64
script_late_id(Script *script)
{
    guint ago = script_roll(script, 1, script_percent(script, 20) ? 3000 : 200);
    gint64 ms = MAX(script->ms - ago, FIRST_MS);
    return id_make(ms, ++script->lates & ID_SEQUENCE_MAX, LATE_NODE);
}

static void
script_add(Script *script, GByteArray *event, gint64 user, gint64 id)
{
    guint n = script->newest->len;
    gint64 before = n > 0 ? g_array_index(script->newest, gint64, n - 1) : 0;
    gint64 newest = MAX(before, id);
    g_ptr_array_add(script->events, g_byte_array_ref(event));
    g_array_append_val(script->users, user);
    g_array_append_val(script->newest, newest);
}

/* Finish and add a draft, which is taken; *ret_event is borrowed. */
static void
script_add_draft(Script *script, GByteArray *draft, UserId user, gint64 id,
                 Event *ret_event)
{
    g_autoptr(GByteArray) event = g_byte_array_new();
    EventFault fault;
    wire_write_stop(draft);
    WireBytes bytes = {draft->data, draft->len};
    gboolean good = event_stamp(bytes, (EventId){id}, event, ret_event, &fault);
    g_assert_true(good);
    script_add(script, event, user.v, id);
    g_byte_array_unref(draft);
}

static GByteArray *
draft_new(EventKind kind, UserId user)
{
    GByteArray *draft = g_byte_array_new();
    wire_field_i32(draft, EVENT_FIELD_KIND, (gint32)kind);
    wire_field_i64(draft, EVENT_FIELD_USER, user.v);
    return draft;
}

static void
script_post(Script *script, ScriptAuthor author)
{
    UserId user = script_author(author);
    GByteArray *draft = draft_new(EVENT_POST, user);
    g_autofree char *text = g_strdup_printf("post %u", script->posts->len);
    gboolean late = script_percent(script, 10);
    ScriptPost post = {
        .author = author, .born = script->events->len, .dead = G_MAXUINT};
    Event event;
    post.id = late ? script_late_id(script) : script_new_id(script);
    wire_write_field(draft, WIRE_STRUCT, EVENT_FIELD_POST);
    wire_field_string(draft, 4, text);
    wire_write_stop(draft);
    script_add_draft(script, draft, user, post.id, &event);
    post.bytes = event.post_bytes;
    g_array_append_val(script->posts, post);
    if (author == SCRIPT_C) {
        SlowPost slow = {post.born, post.id};
        g_array_append_val(script->slow, slow);
    }
}

/* One of the posts that came last goes, if it has not. */
static void
script_delete(Script *script)
{
    guint n = script->posts->len;
    if (n < 2) {
        return;
    }
    guint at = n - script_roll(script, 1, MIN(n, 30));
    ScriptPost *post = &g_array_index(script->posts, ScriptPost, at);
    if (post->dead != G_MAXUINT) {
        return;
    }
    UserId user = script_author(post->author);
    GByteArray *draft = draft_new(EVENT_DELETE, user);
    Event event;
    post->dead = script->events->len;
    wire_field_i64(draft, EVENT_FIELD_TARGET_POST, post->id);
    script_add_draft(script, draft, user, script_new_id(script), &event);
}

static void
script_edge(Script *script, UserId user, ScriptAuthor author, gboolean follow)
{
    GByteArray *draft = draft_new(follow ? EVENT_FOLLOW : EVENT_UNFOLLOW, user);
    Event event;
    wire_field_i64(draft, EVENT_FIELD_TARGET_USER, script_author(author).v);
    script_add_draft(script, draft, user, script_new_id(script), &event);
}

static void
script_turn(Script *script, guint reader, ScriptAuthor author)
{
    GArray *turns = script->turns[reader][author];
    guint event = script->events->len;
    script_edge(script, script_reader(reader), author, turns->len % 2 == 0);
    g_array_append_val(turns, event);
}

/* An event that was there before, word for word. */
static void
script_again(Script *script)
{
    guint n = script->events->len;
    guint back = script_percent(script, 50) ? 20 : 2000;
    guint at = n - script_roll(script, 1, MIN(n, back));
    GByteArray *event = g_ptr_array_index(script->events, at);
    script_add(script, event, g_array_index(script->users, gint64, at), 0);
}

static void
script_come(Script *script, guint reader)
{
    script_turn(script, reader, SCRIPT_A);
    if (reader != 1) {
        script_turn(script, reader, SCRIPT_C);
    }
}

static void
script_any(Script *script)
{
    guint roll = script_roll(script, 0, 99);
    if (roll < 44) {
        script_post(script, SCRIPT_A);
    } else if (roll < 71) {
        script_post(script, SCRIPT_B);
    } else if (roll < 73) {
        script_post(script, SCRIPT_C);
    } else if (roll < 78) {
        script_post(script, SCRIPT_STRANGER);
    } else if (roll < 90) {
        script_delete(script);
    } else {
        script_again(script);
    }
}

/* What makes readers come, and follow B, one of them C too, on and off. */
static void
script_turns(Script *script, guint *due_b, guint *due_c)
{
    guint n = script->events->len;
    for (guint i = 0; i < SCRIPT_READERS; i++) {
        gboolean here = i < SCRIPT_READERS / 2 || n >= LAST_READERS_AT;
        if (here && script->turns[i][SCRIPT_A]->len == 0) {
            script_come(script, i);
        }
        if (here && n >= due_b[i]) {
            script_turn(script, i, SCRIPT_B);
            due_b[i] = n + script_roll(script, 20 + 10 * i, 60);
        }
    }
    if (n >= *due_c) {
        script_turn(script, 2, SCRIPT_C);
        *due_c = n + script_roll(script, 30, 300);
    }
}

static gint
post_compare(gconstpointer a, gconstpointer b)
{
    const ScriptPost *left = a;
    const ScriptPost *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

Script *
script_new(guint n, guint32 seed)
{
    Script *script = g_new0(Script, 1);
    guint due_b[SCRIPT_READERS] = {0};
    guint due_c = 2 * LAST_READERS_AT;
    script->rand = g_rand_new_with_seed(seed);
    script->events =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    script->users = g_array_new(FALSE, FALSE, sizeof(gint64));
    script->newest = g_array_new(FALSE, FALSE, sizeof(gint64));
    script->posts = g_array_new(FALSE, FALSE, sizeof(ScriptPost));
    script->slow = g_array_new(FALSE, FALSE, sizeof(SlowPost));
    script->ms = FIRST_MS;
    for (guint i = 0; i < SCRIPT_READERS * SCRIPT_AUTHORS; i++) {
        script->turns[i / SCRIPT_AUTHORS][i % SCRIPT_AUTHORS] =
            g_array_new(FALSE, FALSE, sizeof(guint));
    }
    while (script->events->len < n) {
        guint at = script->events->len;
        script_turns(script, due_b, &due_c);
        if (at > 10 && at < LAST_READERS_AT && at % 4 == 0) {
            script_edge(script, (UserId){3000 + at / 4 % CROWD}, SCRIPT_C,
                        TRUE);
        }
        script_any(script);
    }
    g_array_sort(script->posts, post_compare);
    return script;
}

void
script_free(Script *script)
{
    for (guint i = 0; i < SCRIPT_READERS * SCRIPT_AUTHORS; i++) {
        g_array_unref(script->turns[i / SCRIPT_AUTHORS][i % SCRIPT_AUTHORS]);
    }
    g_rand_free(script->rand);
    g_ptr_array_unref(script->events);
    g_array_unref(script->users);
    g_array_unref(script->newest);
    g_array_unref(script->posts);
    g_array_unref(script->slow);
    g_free(script);
}

/* ---- what it means ---- */

guint
script_prefix_of(const Script *script, gint64 id)
{
    const gint64 *newest = (const gint64 *)(gpointer)script->newest->data;
    return id == 0
               ? 0
               : (guint)ids_lower_bound(newest, script->newest->len, id) + 1;
}

gint64
script_slow_post(const Script *script, guint prefix, guint back)
{
    guint low = 0;
    guint high = script->slow->len;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (g_array_index(script->slow, SlowPost, middle).born < prefix) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > back ? g_array_index(script->slow, SlowPost, low - 1 - back).id
                      : 0;
}

static gboolean
script_follows(const Script *script, guint reader, guint author, guint prefix)
{
    const GArray *turns = script->turns[reader][author];
    guint low = 0;
    guint high = turns->len;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (g_array_index(turns, guint, middle) < prefix) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low % 2 == 1;
}

/* A dashboard after a prefix, walked the way that a query asks for. */
typedef struct ScriptWalk {
    const Script *script;
    const PageQuery *query;
    guint prefix;
    gint64 newest; /* of the prefix: no post has a greater id */
    gboolean follows[SCRIPT_AUTHORS];
    gssize at; /* the next post to look at */
} ScriptWalk;

static gssize
script_lower_bound(const Script *script, gint64 id)
{
    guint low = 0;
    guint high = script->posts->len;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (g_array_index(script->posts, ScriptPost, middle).id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (gssize)low;
}

static void
script_walk_init(ScriptWalk *walk, const Script *script, guint reader,
                 const PageQuery *query, guint prefix)
{
    *walk = (ScriptWalk){.script = script, .query = query, .prefix = prefix};
    if (prefix > 0) {
        walk->newest = g_array_index(script->newest, gint64, prefix - 1);
    }
    for (guint i = 0; i < SCRIPT_AUTHORS; i++) {
        walk->follows[i] = script_follows(script, reader, i, prefix);
    }
    if (query->older) {
        gint64 from = MIN(query->from, walk->newest + 1);
        walk->at = script_lower_bound(script, from) - 1;
    } else {
        walk->at =
            script_lower_bound(script, MIN(query->from, G_MAXINT64 - 1) + 1);
    }
}

/* The next post to be shown, or NULL. */
static const ScriptPost *
script_walk_next(ScriptWalk *walk)
{
    const GArray *posts = walk->script->posts;
    while (walk->at >= 0 && walk->at < (gssize)posts->len) {
        const ScriptPost *post = &g_array_index(posts, ScriptPost, walk->at);
        walk->at += walk->query->older ? -1 : 1;
        if (post->id > walk->newest) {
            return NULL;
        }
        if (post->born < walk->prefix && post->dead >= walk->prefix &&
            walk->follows[post->author]) {
            return post;
        }
    }
    return NULL;
}

static const SeenEntry *
page_entry(const PageSeen *page, const PageQuery *query, guint i)
{
    guint n = page->entries->len;
    return &g_array_index(page->entries, SeenEntry,
                          query->older ? i : n - 1 - i);
}

/* Whether the page is that of the prefix; else *ret_at, where it differs. */
static gboolean
script_matches(const Script *script, guint reader, const PageQuery *query,
               const PageSeen *page, guint prefix, guint *ret_at)
{
    ScriptWalk walk;
    script_walk_init(&walk, script, reader, query, prefix);
    guint n = page->entries->len;
    for (*ret_at = 0; *ret_at < n; (*ret_at)++) {
        const SeenEntry *entry = page_entry(page, query, *ret_at);
        const ScriptPost *post = script_walk_next(&walk);
        if (post == NULL || post->id != entry->id ||
            post->bytes.len != entry->post.len ||
            memcmp(post->bytes.data, entry->post.data, entry->post.len) != 0) {
            return FALSE;
        }
    }
    gboolean more = script_walk_next(&walk) != NULL;
    gint32 end = more           ? PAGE_MORE
                 : query->older ? PAGE_END_OF_INBOX
                                : PAGE_NOTHING_NEWER_YET;
    return page->end == end && (n == query->limit || !more);
}

guint
script_find(const Script *script, guint reader, const PageQuery *query,
            const PageSeen *page, guint low, guint high)
{
    guint at;
    for (guint prefix = low; prefix <= high; prefix++) {
        if (script_matches(script, reader, query, page, prefix, &at)) {
            return prefix;
        }
    }
    return G_MAXUINT;
}

char *
script_explain(const Script *script, guint reader, const PageQuery *query,
               const PageSeen *page, guint prefix)
{
    guint at;
    if (script_matches(script, reader, query, page, prefix, &at)) {
        return g_strdup("nothing");
    }
    ScriptWalk walk;
    const ScriptPost *post = NULL;
    script_walk_init(&walk, script, reader, query, prefix);
    for (guint i = 0; i <= at; i++) {
        post = script_walk_next(&walk);
    }
    gint64 seen = at < page->entries->len ? page_entry(page, query, at)->id : 0;
    return g_strdup_printf(
        "entry %u of %u is %" G_GINT64_FORMAT ", not %" G_GINT64_FORMAT
        " (author %d, born %u, dead %u); end %d",
        at, page->entries->len, seen, post != NULL ? post->id : 0,
        post != NULL ? (int)post->author : -1, post != NULL ? post->born : 0,
        post != NULL ? post->dead : 0, page->end);
}
