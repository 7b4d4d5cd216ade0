/*
 * Opening: the store says who it is (meta.h) and how far it is applied, S;
 * the tail checkpoint holds the tails at T. T must not be past S: the file
 * was written after the store was flushed, so a store that is older has lost
 * rows that were safe, and nothing built on it can be trusted. The log is
 * read again from T; what lies between T and S is applied a second time,
 * which changes no fact and repairs the tails. Followers are rebuilt from the
 * edge rows.
 */
#include "cell/state.h"

#include "cell/facts.h"
#include "cell/tailfile.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <string.h>

#define STATE_CACHE_BYTES ((gsize)64 << 20)
#define STATE_WRITE_BUFFER_BYTES ((gsize)32 << 20)

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
    {"comb_cell_checkpoints_total", METRIC_COUNTER,
     "Tail checkpoints written."},
    {"comb_cell_users", METRIC_GAUGE, "Homed users with an inbox."},
    {"comb_cell_edges", METRIC_GAUGE, "Follows of homed users."},
    {"comb_cell_lag_milliseconds", METRIC_GAUGE,
     "How far the cell is behind the log."},
    {"comb_cell_store_bytes", METRIC_GAUGE, "Bytes of table files on disk."},
    {"comb_cell_pages_total", METRIC_COUNTER,
     "Dashboard and timeline pages served."},
    {"comb_cell_page_candidates_total", METRIC_COUNTER,
     "Posts looked at for pages, shown or not."},
    {"comb_cell_refused_total", METRIC_COUNTER,
     "Calls refused: not homed, not ready, or wrong."},
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

/* Every row under letter 'e' that says following, into the index. */
static gboolean
state_load_followers(State *state, GError **error)
{
    g_autoptr(StoreIter) iter = store_iter_new(state->store, NULL);
    WireBytes key;
    WireBytes value;
    StoreOutcome outcome;
    for (store_iter_seek(iter, key_letter('e'));
         (outcome = store_iter_get(iter, &key, &value)) == STORE_FOUND &&
         key_is(key, 'e', KEY_PAIR_BYTES);
         store_iter_next(iter)) {
        if (fact_edge_follows(value)) {
            UserId follower = {key_i64(key, 1)};
            UserId followee = {key_i64(key, KEY_PAIR_SECOND)};
            guint32 user = inbox_add_user(state->inbox, follower);
            followers_add(state->followers, followee, user);
        }
    }
    if (outcome == STORE_FAILED) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "cannot read the edges: %s", store_failure(state->store));
        return FALSE;
    }
    return TRUE;
}

static gboolean
state_check_not_older(const MetaIdentity *identity, const guint64 *store,
                      const guint64 *tails, GError **error)
{
    for (guint i = 0; i < identity->partitions; i++) {
        if (store[i] < tails[i]) {
            g_set_error(
                error, COMB_ERROR, COMB_ERROR_CORRUPT,
                "the store is older than its tail checkpoint: partition %u "
                "is applied to %" G_GUINT64_FORMAT
                ", the checkpoint says %" G_GUINT64_FORMAT
                "; restore a backup, or empty the directory to rebuild",
                i, store[i], tails[i]);
            return FALSE;
        }
    }
    return TRUE;
}

/* Tails and followers; *ret_next is where to replay from. */
static gboolean
state_load_memory(State *state, const char *dir, const Meta *meta,
                  guint64 *ret_next, GError **error)
{
    GError *failure = NULL;
    memset(ret_next, 0, state->identity.partitions * sizeof *ret_next);
    gboolean have =
        tailfile_load(dir, &state->identity, state->inbox, ret_next, &failure);
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    if (!have && meta->home != NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "the tail checkpoint is missing from %s; restore a "
                    "backup, or empty the directory to rebuild",
                    dir);
        return FALSE;
    }
    return (!have || state_check_not_older(&state->identity, meta->next,
                                           ret_next, error)) &&
           state_load_followers(state, error);
}

static gboolean
state_load(State *state, const StateOptions *options, guint64 *ret_next,
           GError **error)
{
    g_autofree char *dir = g_build_filename(options->dir, "store", NULL);
    /* Where there are tails there was a store: never make an empty one over
       what is left of it. */
    StoreOptions store_options = {dir, !tailfile_exists(options->dir),
                                  STATE_CACHE_BYTES, STATE_WRITE_BUFFER_BYTES};
    state->store = store_open(&store_options, error);
    if (state->store == NULL) {
        return FALSE;
    }
    Meta meta;
    if (!meta_load(state->store, &state->identity, &meta, error)) {
        return FALSE;
    }
    state->inbox = inbox_new(state->store);
    state->followers = followers_new();
    gboolean good =
        state_load_memory(state, options->dir, &meta, ret_next, error);
    if (good && meta.home != NULL) {
        state_set_home(state, meta.home);
    }
    atomic_store(&state->as_of, meta.as_of);
    for (guint i = 0; i < state->identity.partitions; i++) {
        atomic_store(&state->next[i], ret_next[i]);
    }
    meta_clear(&meta);
    return good;
}

/* glibc's default lets readers keep the one writer out for as long as they
   come in turns. */
static void
state_init_lock(State *state)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr,
                                  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&state->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
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
    state_init_lock(state);
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
    g_clear_pointer(&state->inbox, inbox_free);
    g_clear_pointer(&state->followers, followers_free);
    g_clear_pointer(&state->store, store_close);
    CellMap *home = atomic_load(&state->home);
    if (home != NULL) {
        cellmap_unref(home);
    }
    pthread_rwlock_destroy(&state->lock);
    for (guint i = 0; i < EVENT_KIND_MAX; i++) {
        g_free(state->kind_labels[i]);
    }
    g_free(state->labels);
    g_free(state->dir);
    g_free(atomic_load(&state->stopped));
    g_free(state->next);
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
    g_autofree char *quoted = logger_quote(reason);
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
