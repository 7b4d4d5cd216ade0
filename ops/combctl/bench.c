/*
 * bench.c - combctl bench: load on a cell or router, and what it makes of it
 *
 * Flags and users are looked at here, ids for getPosts read from dashboards
 * through the generated client; then bench_load.h does the rest.
 */
#include "ops/combctl/bench_report.h"
#include "ops/combctl/connect.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CALLER_BYTES_MAX 64
#define POSTS_WANTED 10000
#define PRIME_CALLS_MAX 1000
#define SPARE_FDS 64

/* The flags as they are typed. */
typedef struct Flags {
    char *address;
    char *users;
    char *users_file;
    char *posts_file;
    char *mix;
    char *caller;
    gint connections;
    gint depth;
    gint limit;
    gint deadline_ms;
    double rate;
    gboolean constant;
    double duration_s;
    double warmup_s;
    double zipf;
    gint64 seed;
    gboolean check;
} Flags;

static const char text[] =
    "Without --rate: a closed loop, connections x depth calls under way all\n"
    "the time: how much can it do? With --rate: an open loop, calls at times "
    "of\ntheir own; latency runs from when a call was due, so that a stall "
    "shows\nwhole: how long do users wait? Ctrl-C ends a run with what was "
    "measured.\n\n  combctl bench --users 1-100000\n"
    "  combctl bench --address 10.0.0.1:9200 --users-file ids --rate 20000";

static void
flags_clear(Flags *flags)
{
    g_free(flags->address);
    g_free(flags->users);
    g_free(flags->users_file);
    g_free(flags->posts_file);
    g_free(flags->mix);
    g_free(flags->caller);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Flags, flags_clear)

static gboolean
parse_flags(Ctl *ctl, Flags *flags, const CtlCommand *command, char ***argv,
            GError **error)
{
    const GOptionEntry entries[] = {
        {"address", 0, 0, G_OPTION_ARG_STRING, &flags->address,
         "A router's or a cell's (the --router of other commands)",
         "HOST:PORT"},
        {"users", 0, 0, G_OPTION_ARG_STRING, &flags->users,
         "Whom to ask for, by number, both included", "FIRST-LAST"},
        {"users-file", 0, 0, G_OPTION_ARG_FILENAME, &flags->users_file,
         "Or: a file with one number a line", "FILE"},
        {"zipf", 0, 0, G_OPTION_ARG_DOUBLE, &flags->zipf,
         "How uneven: 0 all alike, to 5 (0.8)", "S"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &flags->seed,
         "Another order of users and calls (1)", "N"},
        {"mix", 0, 0, G_OPTION_ARG_STRING, &flags->mix,
         "Percent of calls: dashboard=90,timeline=8,posts=2 "
         "(dashboard=100)",
         "MIX"},
        {"posts-file", 0, 0, G_OPTION_ARG_FILENAME, &flags->posts_file,
         "Ids for posts, one a line (taken from dashboards)", "FILE"},
        {"limit", 0, 0, G_OPTION_ARG_INT, &flags->limit,
         "Posts in a call, 1 to 100 (20)", "N"},
        {"connections", 0, 0, G_OPTION_ARG_INT, &flags->connections,
         "1 to 10000 (8)", "N"},
        {"depth", 0, 0, G_OPTION_ARG_INT, &flags->depth,
         "Calls under way on each, at most; 1 to 1000 (8)", "N"},
        {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &flags->rate,
         "Open loop: calls a second, to 10000000", "R"},
        {"constant", 0, 0, G_OPTION_ARG_NONE, &flags->constant,
         "With --rate: even gaps, not a Poisson process", NULL},
        {"duration-s", 0, 0, G_OPTION_ARG_DOUBLE, &flags->duration_s,
         "What is measured, 0.1 to 86400 (10)", "S"},
        {"warmup-s", 0, 0, G_OPTION_ARG_DOUBLE, &flags->warmup_s,
         "Before that, 0 to 86400 (2)", "S"},
        {"deadline-ms", 0, 0, G_OPTION_ARG_INT, &flags->deadline_ms,
         "Of each call, 1 to 600000 (5000)", "N"},
        {"caller", 0, 0, G_OPTION_ARG_STRING, &flags->caller,
         "Who asks, for the service's logs (combctl-bench)", "NAME"},
        {"check", 0, 0, G_OPTION_ARG_NONE, &flags->check,
         "Decode every answer whole", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    const CtlSyntax syntax = {
        .command = command, .text = text, .entries = entries};
    return ctl_parse(ctl, &syntax, argv, error);
}

/* ---- the flags' bounds ---- */

static gboolean
check_range(const char *name, double value, double min, double max,
            GError **error)
{
    if (!(value >= min && value <= max)) {
        return ctl_usage_error(error, "--%s is %.10g to %.10g", name, min, max);
    }
    return TRUE;
}

static gboolean
check_flags(const Flags *flags, GError **error)
{
    const struct {
        const char *name;
        double value;
        double min;
        double max;
    } ranges[] = {
        {"limit", flags->limit, 1, PAGE_LIMIT_MAX},
        {"connections", flags->connections, 1, 10000},
        {"depth", flags->depth, 1, 1000},
        {"rate", flags->rate, 0, 1e7},
        {"duration-s", flags->duration_s, 0.1, 86400},
        {"warmup-s", flags->warmup_s, 0, 86400},
        {"deadline-ms", flags->deadline_ms, 1, 600000},
        {"zipf", flags->zipf, 0, USERS_ZIPF_MAX},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ranges); i++) {
        if (!check_range(ranges[i].name, ranges[i].value, ranges[i].min,
                         ranges[i].max, error)) {
            return FALSE;
        }
    }
    if (flags->constant && flags->rate <= 0) {
        return ctl_usage_error(error, "--constant needs --rate");
    }
    if (flags->caller != NULL && strlen(flags->caller) > CALLER_BYTES_MAX) {
        return ctl_usage_error(error, "--caller is at most %d bytes",
                               CALLER_BYTES_MAX);
    }
    return TRUE;
}

/* One "dashboard=90". */
static gboolean
parse_share(const char *word, LoadOptions *load)
{
    const char *equals = strchr(word, '=');
    guint64 percent = 0;
    if (equals == NULL ||
        !g_ascii_string_to_unsigned(equals + 1, 10, 0, 100, &percent, NULL)) {
        return FALSE;
    }
    for (guint i = 0; i < BENCH_METHODS; i++) {
        const char *name = method_name((BenchMethod)i);
        if (strlen(name) == (gsize)(equals - word) &&
            strncmp(name, word, strlen(name)) == 0) {
            load->share[i] = (guint)percent;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
parse_mix(const char *mix, LoadOptions *load, GError **error)
{
    g_auto(GStrv) words = g_strsplit(mix, ",", -1);
    gboolean good = TRUE;
    guint sum = 0;
    for (guint i = 0; words[i] != NULL; i++) {
        good = good && parse_share(words[i], load);
    }
    for (guint i = 0; i < BENCH_METHODS; i++) {
        sum += load->share[i];
    }
    if (!good || sum != 100) {
        return ctl_usage_error(error,
                               "--mix is percents of dashboard, timeline and "
                               "posts, 100 in all: dashboard=90,posts=10");
    }
    return TRUE;
}

static gboolean
resolve(const char *address, LoadOptions *load, GError **error)
{
    g_autofree char *host = NULL;
    guint16 port = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (!peer_split_address(address, &host, &port)) {
        return ctl_usage_error(error, "--address \"%s\" is not HOST:PORT",
                               address);
    }
    g_autofree char *service = g_strdup_printf("%u", port);
    int status = getaddrinfo(host, service, &hints, &found);
    if (status != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE, "%s: %s",
                    address, gai_strerror(status));
        return FALSE;
    }
    memcpy(&load->sockaddr, found->ai_addr, found->ai_addrlen);
    load->sockaddr_len = found->ai_addrlen;
    load->address = address;
    freeaddrinfo(found);
    return TRUE;
}

/* As many files as connections, where the system allows. */
static gboolean
allow_files(guint connections, GError **error)
{
    struct rlimit limit;
    rlim_t wanted = connections + SPARE_FDS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return TRUE;
    }
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) {
        return ctl_usage_error(error,
                               "--connections %u: this process may have %lu "
                               "files (ulimit -n)",
                               connections, (unsigned long)limit.rlim_max);
    }
    limit.rlim_cur = wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return TRUE;
}

/* ---- users and posts ---- */

static GArray *
find_users(const Flags *flags, GError **error)
{
    gint64 first;
    gint64 last;
    if ((flags->users == NULL) == (flags->users_file == NULL)) {
        (void)ctl_usage_error(error, "one of --users and --users-file");
        return NULL;
    }
    if (flags->users_file != NULL) {
        return users_read(flags->users_file, error);
    }
    if (!users_parse_range(flags->users, &first, &last)) {
        (void)ctl_usage_error(error,
                              "--users \"%s\" is not FIRST-LAST, from 1, at "
                              "most %d",
                              flags->users, USERS_MAX);
        return NULL;
    }
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (gint64 id = first; id < last; id++) {
        g_array_append_val(ids, id);
    }
    return g_array_append_val(ids, last);
}

/* One page of @user's; its posts' ids go to @posts. */
static gboolean
read_page(const Peer *peer, gint64 user, GArray *posts, GError **error)
{
    g_autoptr(CombPage) page = g_object_new(COMB_TYPE_PAGE, NULL);
    g_autoptr(CombPageRequest) request =
        g_object_new(COMB_TYPE_PAGE_REQUEST, NULL);
    g_auto(Refusals) refusals = {0};
    CombPage *answer = page;
    if (!comb_dashboard_client_get_dashboard(
            peer->service, &answer, user, request, peer->context,
            &refusals.invalid, &refusals.not_homed, &refusals.overloaded,
            &refusals.deadline, &refusals.unavailable, &refusals.denied,
            error)) {
        return refusals_explain(&refusals, peer, error);
    }
    for (guint i = 0; i < page->entries->len; i++) {
        const CombEntry *entry = g_ptr_array_index(page->entries, i);
        g_array_append_val(posts, entry->post->id);
    }
    return TRUE;
}

/* Ids for getPosts out of the first users' dashboards. */
static gboolean
collect_posts(const Ctl *ctl, LoadOptions *load, GError **error)
{
    const GArray *ids = users_ids(load->users);
    g_autoptr(Peer) peer = peer_open_router(ctl, error);
    if (peer == NULL) {
        return FALSE;
    }
    for (guint i = 0;
         i < MIN(ids->len, PRIME_CALLS_MAX) && load->posts->len < POSTS_WANTED;
         i++) {
        if (!read_page(peer, g_array_index(ids, gint64, i), load->posts,
                       error)) {
            return FALSE;
        }
    }
    if (load->posts->len == 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                    "no posts in the dashboards of %u users: --posts-file "
                    "names some",
                    MIN(ids->len, PRIME_CALLS_MAX));
        return FALSE;
    }
    return TRUE;
}

static gboolean
find_posts(const Ctl *ctl, const Flags *flags, LoadOptions *load,
           GError **error)
{
    if (load->share[BENCH_POSTS] == 0) {
        return TRUE;
    }
    if (flags->posts_file != NULL) {
        load->posts = users_read(flags->posts_file, error);
        return load->posts != NULL;
    }
    load->posts = g_array_new(FALSE, FALSE, sizeof(gint64));
    return collect_posts(ctl, load, error);
}

/* ---- the command ---- */

static void
load_clear(LoadOptions *load)
{
    g_clear_pointer(&load->users, users_free);
    g_clear_pointer(&load->posts, g_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoadOptions, load_clear)

static gboolean
prepare(Ctl *ctl, const Flags *flags, LoadOptions *load, GError **error)
{
    load->connections = (guint)flags->connections;
    load->depth = (guint)flags->depth;
    load->rate = flags->rate;
    load->constant = flags->constant;
    load->warmup_s = flags->warmup_s;
    load->duration_s = flags->duration_s;
    load->check = flags->check;
    load->seed = (guint64)flags->seed;
    load->timeout_ms = (guint)ctl->timeout_ms;
    load->form = (RequestForm){
        .limit = (guint)flags->limit,
        .deadline_ms = (guint)flags->deadline_ms,
        .caller = flags->caller != NULL ? flags->caller : "combctl-bench",
    };
    if (flags->address != NULL) {
        g_free(ctl->router);
        ctl->router = g_strdup(flags->address);
    }
    if (!parse_mix(flags->mix != NULL ? flags->mix : "dashboard=100", load,
                   error)) {
        return FALSE;
    }
    GArray *ids = find_users(flags, error);
    if (ids == NULL) {
        return FALSE;
    }
    load->users = users_new(ids, flags->zipf, load->seed);
    return allow_files(load->connections, error) &&
           resolve(peer_router_address(ctl), load, error) &&
           find_posts(ctl, flags, load, error);
}

/* What is measured is a service, not OpenSSL in the one who measures. */
static gboolean
check_plain(const Ctl *ctl, GError **error)
{
    return ctl->tls == NULL ||
           ctl_usage_error(error, "bench speaks plain text only: measure "
                                  "without --tls-ca");
}

static gboolean
run_bench(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    g_auto(Flags) flags = {.connections = 8,
                           .depth = 8,
                           .limit = PAGE_LIMIT_DEFAULT,
                           .deadline_ms = 5000,
                           .duration_s = 10,
                           .warmup_s = 2,
                           .zipf = 0.8,
                           .seed = 1};
    g_auto(LoadOptions) load = {0};
    g_auto(LoadResult) result = {0};
    if (!parse_flags(ctl, &flags, command, argv, error) ||
        !check_flags(&flags, error) || !check_plain(ctl, error) ||
        !prepare(ctl, &flags, &load, error) ||
        !load_run(&load, &result, error)) {
        return FALSE;
    }
    if (ctl->json) {
        report_json(&load, &result);
    } else {
        report_text(&load, &result);
    }
    return TRUE;
}

const CtlCommand *
bench_commands(void)
{
    static const CtlCommand commands[] = {
        {"bench", "--users FIRST-LAST", "put load on a cell or router",
         run_bench, 0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
