/*
 * comb-bench-serve - what page benchmarks need beside daemon and generator
 *
 *     comb-bench-serve COMMAND [options]
 *
 * See serve.h for the commands, README.md for the figures.
 */
#include "tests/bench/serve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    ServeCommand run;
} commands[] = {
    {"log", serve_log},
    {"readers", serve_readers},
    {"digest", serve_digest},
    {"expected", serve_expected},
    {"copy-follows", serve_copy_follows},
    {"copy-posts", serve_copy_posts},
    {"limit", serve_limit},
    {"redis-fill", serve_redis_fill},
    {"redis-read", serve_redis_read},
    {"redis-digest", serve_redis_digest},
};

void
serve_fail(const char *what, const char *why)
{
    fprintf(stderr, "comb-bench-serve: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void
serve_check(const char *what, GError *error)
{
    if (error != NULL) {
        serve_fail(what, error->message);
    }
}

static void
parse(Serve *serve, int *argc, char ***argv)
{
    const GOptionEntry options[] = {
        {"graph", 0, 0, G_OPTION_ARG_FILENAME, &serve->graph,
         "The world's file", "FILE"},
        {"log", 0, 0, G_OPTION_ARG_FILENAME, &serve->log,
         "The local log's directory", "DIR"},
        {"readers", 0, 0, G_OPTION_ARG_FILENAME, &serve->readers,
         "Who reads, an id a line", "FILE"},
        {"address", 0, 0, G_OPTION_ARG_STRING, &serve->address, "A server's",
         "HOST:PORT"},
        {"users", 0, 0, G_OPTION_ARG_INT64, &serve->users,
         "Users of a new world (100000)", "N"},
        {"fill", 0, 0, G_OPTION_ARG_INT64, &serve->fill, "Entries a user (100)",
         "N"},
        {"limit", 0, 0, G_OPTION_ARG_INT64, &serve->limit,
         "Posts in a page (20)", "N"},
        {"connections", 0, 0, G_OPTION_ARG_INT64, &serve->connections, "(16)",
         "N"},
        {"depth", 0, 0, G_OPTION_ARG_INT64, &serve->depth,
         "Pages under way on each (8)", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &serve->seed, "Of who reads (1)",
         "N"},
        {"duration-s", 0, 0, G_OPTION_ARG_DOUBLE, &serve->duration_s,
         "What is measured (3)", "S"},
        {"warmup-s", 0, 0, G_OPTION_ARG_DOUBLE, &serve->warmup_s,
         "Before that (1)", "S"},
        {"zipf", 0, 0, G_OPTION_ARG_DOUBLE, &serve->zipf, "(0.8)", "S"},
        {0},
    };
    GError *error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new("COMMAND");
    g_option_context_add_main_entries(context, options, NULL);
    (void)g_option_context_parse(context, argc, argv, &error);
    serve_check("flags", error);
}

static void
open_world(Serve *serve)
{
    GError *error = NULL;
    if (g_file_test(serve->graph, G_FILE_TEST_EXISTS)) {
        serve->world = world_open(serve->graph, &error);
    } else {
        WorldOptions options = {(guint32)serve->users, WORLD_SEED};
        serve->world = world_make(serve->graph, &options, &error);
    }
    serve_check("world", error);
}

int
main(int argc, char **argv)
{
    Serve serve = {.users = 100000,
                   .fill = 100,
                   .limit = 20,
                   .connections = 16,
                   .depth = 8,
                   .seed = 1,
                   .duration_s = 3,
                   .warmup_s = 1,
                   .zipf = 0.8};
    parse(&serve, &argc, &argv);
    (void)signal(SIGPIPE, SIG_IGN);
    if (serve.graph != NULL) {
        open_world(&serve);
    }
    for (guint i = 0; argc == 2 && i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            int status = commands[i].run(&serve);
            g_clear_pointer(&serve.world, world_close);
            g_free(serve.graph);
            g_free(serve.log);
            g_free(serve.readers);
            g_free(serve.address);
            return status;
        }
    }
    serve_fail("flags", "needs one COMMAND, see --help");
}
