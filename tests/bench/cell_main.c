/*
 * comb-bench-cell - measure the inbox engine in this process
 *
 *     comb-bench-cell COMMAND --graph FILE [--cell DIR --log DIR] [options]
 *
 * See bench.h for the commands, README.md for the figures.
 */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <string.h>

typedef struct Command {
    const char *name;
    BenchCommand run;
} Command;

static const Command commands[] = {
    {"prepare", bench_prepare}, {"apply", bench_apply},
    {"digest", bench_digest},   {"expected", bench_expected},
    {"bigpost", bench_bigpost}, {"deep", bench_deep},
    {"restart", bench_restart}, {"load", bench_load},
    {"probe", bench_probe},     {"memory", bench_memory},
    {"rest", bench_rest},       {"limit", bench_limit},
    {"feed", bench_feed},
};

guint64
bench_end_of_fill(const Bench *bench)
{
    return bench->world->header->edges + bench->plan.fill_posts;
}

guint64
bench_end(const Bench *bench)
{
    return bench_end_of_fill(bench) + bench->plan.posts;
}

Rig *
bench_rig(const Bench *bench, guint64 end)
{
    RigOptions options = {.world = bench->world,
                          .cell_dir = bench->cell,
                          .log_dir = bench->log,
                          .checkpoint_s = (guint)bench->checkpoint_s,
                          .end = end};
    return rig_open(&options);
}

static gboolean
parse(Bench *bench, int *argc, char ***argv, GError **error)
{
    const GOptionEntry options[] = {
        {"graph", 0, 0, G_OPTION_ARG_FILENAME, &bench->graph,
         "The world's file", "FILE"},
        {"cell", 0, 0, G_OPTION_ARG_FILENAME, &bench->cell,
         "The cell's directory", "DIR"},
        {"log", 0, 0, G_OPTION_ARG_FILENAME, &bench->log,
         "The directory of the local log with the posts", "DIR"},
        {"users", 0, 0, G_OPTION_ARG_INT64, &bench->users,
         "Users of a new world (10000)", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &bench->seed, "Of a new world", "N"},
        {"fill", 0, 0, G_OPTION_ARG_INT64, &bench->fill,
         "Entries a user before what is measured (100)", "N"},
        {"deliveries", 0, 0, G_OPTION_ARG_INT64, &bench->deliveries,
         "In the measured range (1000000)", "N"},
        {"prefix", 0, 0, G_OPTION_ARG_INT64, &bench->prefix,
         "Deliveries of the measured range that digests cover", "N"},
        {"readers", 0, 0, G_OPTION_ARG_INT64, &bench->readers,
         "Pages a second beside the load", "N"},
        {"rate", 0, 0, G_OPTION_ARG_INT64, &bench->rate,
         "Deliveries a second of a paced load", "N"},
        {"rounds", 0, 0, G_OPTION_ARG_INT64, &bench->rounds,
         "Repetitions in this process (30)", "N"},
        {"seconds", 0, 0, G_OPTION_ARG_INT64, &bench->seconds,
         "Load before the kill (12)", "N"},
        {"checkpoint-s", 0, 0, G_OPTION_ARG_INT64, &bench->checkpoint_s,
         "Between checkpoints (10, as comb-cell)", "N"},
        {"tell", 0, 0, G_OPTION_ARG_NONE, &bench->tell,
         "Each inbox's digest on standard error", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("COMMAND");
    g_option_context_add_main_entries(context, options, NULL);
    return g_option_context_parse(context, argc, argv, error);
}

static void
open_world(Bench *bench)
{
    GError *error = NULL;
    if (!g_file_test(bench->graph, G_FILE_TEST_EXISTS)) {
        WorldOptions options = {(guint32)bench->users, (guint64)bench->seed};
        bench->world = world_make(bench->graph, &options, &error);
    } else {
        bench->world = world_open(bench->graph, &error);
    }
    rig_check(error);
    bench->plan = stream_plan(
        bench->world, (guint64)bench->fill * bench->world->header->users,
        (guint64)bench->deliveries);
}

int
main(int argc, char **argv)
{
    Bench bench = {.users = 10000,
                   .seed = (gint64)WORLD_SEED,
                   .fill = 100,
                   .deliveries = 1000000,
                   .rounds = 30,
                   .seconds = 12,
                   .checkpoint_s = 10,
                   .self = argv[0]};
    GError *error = NULL;
    gboolean parsed = parse(&bench, &argc, &argv, &error);
    rig_check(error);
    const Command *command = NULL;
    for (guint i = 0; parsed && argc == 2 && i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            command = &commands[i];
        }
    }
    if (command == NULL) {
        fprintf(stderr, "comb-bench-cell: needs one COMMAND, see --help\n");
        return 2;
    }
    if (bench.graph != NULL) {
        open_world(&bench);
    }
    int status = command->run(&bench);
    g_clear_pointer(&bench.world, world_close);
    g_free(bench.graph);
    g_free(bench.cell);
    g_free(bench.log);
    return status;
}
