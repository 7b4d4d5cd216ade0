/*
 * Opening. The high-water file says how far the store was known to have got,
 * H. The store is opened for reading only and must be there, at S not below H:
 * a store that has lost rows is refused before RocksDB can tidy up after it.
 * Then it is opened for writing. The tail checkpoint holds the tails as of T
 * or newer; T must not be past S either. The log is read again from T; what
 * lies between T and S is applied a second time, which changes no fact and
 * repairs the tails. Followers are rebuilt from the edge rows, floors from
 * theirs.
 */
#include "cell/state.h"

#include "cell/edges.h"
#include "cell/followload.h"
#include "cell/highwater.h"
#include "cell/tailfile.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <string.h>

#define STATE_CACHE_BYTES ((gsize)64 << 20)
#define STATE_WRITE_BUFFER_BYTES ((gsize)64 << 20)

/* An idle cell looks at the log's end more often than this; where it has not,
   nobody knows how far behind it is. */
#define STATE_FRESH_MS 2500

typedef struct MetricText {
    const char *name;
    MetricKind kind;
    const char *help;
} MetricText;

static const MetricText metric_texts[METRIC_N - METRIC_DELIVERIES] = {
    {"comb_cell_deliveries_total", METRIC_COUNTER,
     "Posts put into inboxes, repeats included."},
    {"comb_cell_foreign_events_total", METRIC_COUNTER,
     "Follows and unfollows of users homed elsewhere."},
    {"comb_cell_quarantined_total", METRIC_COUNTER,
     "Records set aside because they are no valid event."},
    {"comb_cell_log_holes_total", METRIC_COUNTER,
     "Records of gateways that are not in the log: not acknowledged, or lost."},
    {"comb_cell_log_repeats_total", METRIC_COUNTER,
     "Records of gateways that are in the log twice."},
    {"comb_cell_checkpoints_total", METRIC_COUNTER,
     "Tail checkpoints written."},
    {"comb_cell_users", METRIC_GAUGE, "Homed users with an inbox."},
    {"comb_cell_edges", METRIC_GAUGE, "Follows of homed users."},
    {"comb_cell_sealed_total", METRIC_COUNTER,
     "Ids that left tails for chunks."},
    {"comb_cell_fanout_pending", METRIC_GAUGE,
     "Posts of authors with many followers on their way to inboxes."},
    {"comb_cell_inbox_bytes", METRIC_GAUGE,
     "Memory held for inboxes of homed users."},
    {"comb_cell_follower_bytes", METRIC_GAUGE,
     "Memory held for the followers of authors."},
    {"comb_cell_lag_seconds", METRIC_GAUGE_MS,
     "How far the cell is behind the log."},
    {"comb_cell_store_bytes", METRIC_GAUGE, "Bytes of table files on disk."},
    {"comb_cell_pages_total", METRIC_COUNTER,
     "Dashboard and timeline pages served."},
    {"comb_cell_page_candidates_total", METRIC_COUNTER,
     "Posts looked at for pages, shown or not."},
    {"comb_cell_cache_hits_total", METRIC_COUNTER,
     "Facts for pages that were in memory."},
    {"comb_cell_cache_misses_total", METRIC_COUNTER,
     "Facts for pages that were read from the store."},
    {"comb_cell_cache_bytes", METRIC_GAUGE,
     "Memory held for facts that pages ask for."},
    {"comb_cell_refused_total", METRIC_COUNTER,
     "Calls refused: not homed, not ready, or wrong."},
    {"comb_cell_tls_faults_total", METRIC_COUNTER,
     "Clients closed for TLS or certificate."},
    {"comb_cell_denied_total", METRIC_COUNTER,
     "Calls not permitted to who made them."},
    {"comb_cell_overloaded_total", METRIC_COUNTER,
     "Calls refused because they would have waited for too long."},
    {"comb_cell_connections", METRIC_GAUGE, "Open connections."},
    {"comb_cell_waits_total", METRIC_COUNTER,
     "Calls that had to wait for their at_least."},
    {"comb_cell_waits_late_total", METRIC_COUNTER,
     "Calls answered before their at_least was reached."},
    {"comb_cell_waiting", METRIC_GAUGE,
     "Calls that wait for their at_least now."},
};

static void
state_declare_metrics(State *state)
{
    state->labels = g_strdup_printf("cell=\"%u\"", state->identity.cell);
    for (guint kind = 1; kind <= EVENT_KIND_MAX; kind++) {
        Metric *metric = &state->metrics[METRIC_EVENTS + kind - 1];
        char *labels =
            g_strdup_printf("cell=\"%u\",kind=\"%s\"", state->identity.cell,
                            event_kind_name((gint32)kind));
        state->kind_labels[kind - 1] = labels;
        metric->name = "comb_cell_events_total";
        metric->labels = labels;
        metric->kind = METRIC_COUNTER;
        metric->help = "Events applied, by kind, repeats included.";
    }
    for (guint i = 0; i < G_N_ELEMENTS(metric_texts); i++) {
        Metric *metric = &state->metrics[METRIC_DELIVERIES + i];
        metric->name = metric_texts[i].name;
        metric->labels = state->labels;
        metric->kind = metric_texts[i].kind;
        metric->help = metric_texts[i].help;
    }
}

typedef struct StateEdges {
    Inbox *inbox;     /* borrowed */
    FollowLoad *load; /* borrowed */
} StateEdges;

/* The edges of one row of a homed user, into the index. */
static void
state_load_row(UserId follower, const UserId *followees, guint n,
               gpointer user_data)
{
    StateEdges *edges = user_data;
    guint32 user = inbox_add_user(edges->inbox, follower);
    followload_add(edges->load, followees, n, user);
}

static gboolean
state_check_not_older(const State *state, const guint64 *store,
                      const guint64 *known, const char *what, GError **error)
{
    for (guint i = 0; i < state->identity.partitions; i++) {
        if (store[i] < known[i]) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "the store has lost what it had: partition %u is "
                        "applied to %" G_GUINT64_FORMAT ", its %s says "
                        "%" G_GUINT64_FORMAT STATE_REPAIR,
                        i, store[i], what, known[i], state->dir, state->dir);
            return FALSE;
        }
    }
    return TRUE;
}

/* The tails, and in *ret_next where to replay from. */
static gboolean
state_load_tails(State *state, const Meta *meta, guint64 *ret_next,
                 GError **error)
{
    GError *failure = NULL;
    memset(ret_next, 0, state->identity.partitions * sizeof *ret_next);
    gboolean have = tailfile_load(state->dir, &state->identity, state->inbox,
                                  ret_next, &failure);
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    if (!have && meta->home != NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "the tail checkpoint is missing from %s" STATE_REPAIR,
                    state->dir, state->dir, state->dir);
        return FALSE;
    }
    return !have || state_check_not_older(state, meta->next, ret_next,
                                          "tail checkpoint", error);
}

/* Followers, tails and floors. */
static gboolean
state_load_memory(State *state, const Meta *meta, guint64 *ret_next,
                  GError **error)
{
    StateEdges edges = {state->inbox, followload_begin(state->followers)};
    /* Edges first: they come in order of user, so that local indexes ascend
       and every set of followers is appended to. Their end is waited for last:
       tails are loaded beside it. */
    gboolean good = edges_scan(state->store, state_load_row, &edges, error) &&
                    killpoint_hit(state->kill, KILL_RECOVERY, error) &&
                    state_load_tails(state, meta, ret_next, error) &&
                    inbox_load_floors(state->inbox, error) &&
                    killpoint_hit(state->kill, KILL_RECOVERY, error);
    followload_end(edges.load);
    return good;
}

/* FALSE: the store has less than the high-water file knows of. */
static gboolean
state_check_complete(State *state, const Meta *meta, const Highwater *high,
                     GError **error)
{
    if (meta->commits < high->commits) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "the store has lost what it had: %" G_GUINT64_FORMAT
                    " batches, its high-water file says "
                    "%" G_GUINT64_FORMAT STATE_REPAIR,
                    meta->commits, high->commits, state->dir, state->dir);
        return FALSE;
    }
    return state_check_not_older(state, meta->next, high->next,
                                 "high-water file", error);
}

/* The store as its files are now, changing none, against the high-water
   file. A cell that was being founded has the one without the other. */
static gboolean
state_check_highwater(State *state, const StoreOptions *options,
                      gboolean *ret_have, GError **error)
{
    *ret_have = highwater_exists(state->dir);
    if (!*ret_have) {
        return TRUE;
    }
    g_autofree guint64 *next = g_new0(guint64, state->identity.partitions);
    Highwater high = {.next = next};
    if (!highwater_read(state->dir, &state->identity, &high, error)) {
        return FALSE;
    }
    if (high.commits == 0) {
        return TRUE; /* founded, or about to be: nothing to lose */
    }
    StoreOptions peek = *options;
    peek.create = FALSE;
    peek.read_only = TRUE;
    Store *store = store_open(&peek, error);
    if (store == NULL) {
        g_prefix_error(error, "the store cannot be read: ");
        return FALSE;
    }
    Meta meta;
    gboolean good = meta_load(store, &state->identity, &meta, error);
    if (good) {
        good = state_check_complete(state, &meta, &high, error);
        meta_clear(&meta);
    }
    store_close(store);
    return good && killpoint_hit(state->kill, KILL_RECOVERY, error);
}

static gboolean
state_open_store(State *state, Meta *ret_meta, GError **error)
{
    g_autofree char *dir = g_build_filename(state->dir, "store", NULL);
    StoreOptions options = {.dir = dir,
                            .cache_bytes = STATE_CACHE_BYTES,
                            .write_buffer_bytes = STATE_WRITE_BUFFER_BYTES};
    gboolean have_high;
    if (!state_check_highwater(state, &options, &have_high, error)) {
        return FALSE;
    }
    /* Where there are files of ours there was a store: never make an empty
       one over what is left of it. */
    options.create = !tailfile_exists(state->dir) && !have_high;
    state->store = store_open(&options, error);
    if (state->store == NULL ||
        !meta_load(state->store, &state->identity, ret_meta, error)) {
        return FALSE;
    }
    if (ret_meta->home != NULL && !have_high) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "the high-water file is missing from %s" STATE_REPAIR,
                    state->dir, state->dir, state->dir);
        meta_clear(ret_meta);
        return FALSE;
    }
    return TRUE;
}

static gboolean
state_load(State *state, const StateOptions *options, guint64 *ret_next,
           GError **error)
{
    Meta meta;
    if (!state_open_store(state, &meta, error)) {
        return FALSE;
    }
    const InboxTuning *tuning =
        options->tuning != NULL ? options->tuning : inbox_tuning_default();
    state->inbox = inbox_new(state->store, tuning);
    state->followers = followers_new();
    gboolean good = state_load_memory(state, &meta, ret_next, error);
    state_note_memory(state);
    if (good && meta.home != NULL) {
        state_set_home(state, meta.home);
    }
    atomic_store(&state->as_of, meta.as_of);
    atomic_store(&state->commits, meta.commits);
    for (guint i = 0; i < state->identity.partitions; i++) {
        atomic_store(&state->next[i], ret_next[i]);
    }
    state->stored = g_steal_pointer(&meta.next);
    state->marks = g_steal_pointer(&meta.marks);
    meta_clear(&meta);
    return good;
}

State *
state_open(const StateOptions *options, guint64 *ret_next, GError **error)
{
    State *state = g_new0(State, 1);
    state->dir = g_strdup(options->dir);
    state->identity = options->identity;
    state->feed = options->feed;
    state->started_us = g_get_monotonic_time();
    state->next = g_new0(_Atomic guint64, options->identity.partitions);
    state->memory_bytes = options->memory_bytes;
    state->cache = factcache_new(options->cache_bytes);
    state->bell = bell_new();
    state->kill = options->kill;
    state_declare_metrics(state);
    if (!state_load(state, options, ret_next, error)) {
        state_close(state);
        return NULL;
    }
    return state;
}

void
state_close(State *state)
{
    g_clear_pointer(&state->bell, bell_free);
    g_clear_pointer(&state->cache, factcache_free);
    g_clear_pointer(&state->inbox, inbox_free);
    g_clear_pointer(&state->followers, followers_free);
    g_clear_pointer(&state->store, store_close);
    CellMap *home = atomic_load(&state->home);
    if (home != NULL) {
        cellmap_unref(home);
    }
    for (guint i = 0; i < EVENT_KIND_MAX; i++) {
        g_free(state->kind_labels[i]);
    }
    g_free(state->labels);
    g_free(state->dir);
    g_free(atomic_load(&state->stopped));
    g_free(state->next);
    g_free(state->stored);
    g_free(state->marks);
    g_free(state);
}

void
state_set_home(State *state, CellMap *home)
{
    ensure(atomic_load(&state->home) == NULL);
    atomic_store(&state->home, cellmap_ref(home));
}

gboolean
state_is_homed(State *state, UserId user)
{
    const CellMap *home = atomic_load(&state->home);
    return home != NULL && cellmap_home(home, user) == state->identity.cell;
}

void
state_stop(State *state, const char *reason)
{
    char *none = NULL;
    char *mine = g_strdup(reason);
    if (!atomic_compare_exchange_strong(&state->stopped, &none, mine)) {
        g_free(mine);
        return;
    }
    bell_ring(state->bell);
    g_autofree char *quoted = logger_quote_reason(reason);
    logger_crit("cell.state", "applying has stopped", "cell=%u reason=%s",
                state->identity.cell, quoted);
}

const char *
state_stopped(State *state)
{
    return atomic_load(&state->stopped);
}

gint64
state_lag_ms(State *state)
{
    gint64 fresh_at = atomic_load(&state->fresh_at_ms);
    gint64 lag = g_get_real_time() / 1000 - fresh_at;
    gboolean at_end = atomic_load(&state->at_end) && lag < STATE_FRESH_MS;
    return fresh_at == 0 || at_end ? 0 : MAX(lag, 0);
}

void
state_add(State *state, guint metric, gint64 n)
{
    ensure(metric < METRIC_N);
    metric_add(&state->metrics[metric], n);
}

static void
state_batch_writes(Key key, gpointer user_data)
{
    State *state = user_data;
    factcache_changes(state->cache, key);
}

StoreBatch *
state_batch_new(State *state)
{
    StoreBatch *batch = store_batch_new(state->store);
    store_batch_watch(batch, state_batch_writes, state);
    return batch;
}

gboolean
state_commit(State *state, StoreBatch *batch, GError **error)
{
    guint64 commits = atomic_load(&state->commits) + 1;
    meta_put_commits(batch, commits);
    factcache_commits(state->cache, commits);
    if (!store_batch_commit(batch, error)) {
        return FALSE;
    }
    atomic_store(&state->commits, commits);
    return TRUE;
}

gsize
state_note_memory(State *state)
{
    gsize followers = followers_bytes(state->followers);
    gsize inboxes = inbox_bytes(state->inbox);
    metric_set(&state->metrics[METRIC_FOLLOWER_BYTES], (gint64)followers);
    metric_set(&state->metrics[METRIC_INBOX_BYTES], (gint64)inboxes);
    if (state->memory_bytes > 0) {
        gsize thrifty = state->memory_bytes - state->memory_bytes / 10;
        inbox_set_memory(state->inbox,
                         thrifty > followers ? thrifty - followers : 0);
    }
    return followers + inbox_live_bytes(state->inbox);
}
