/*
 * comb-solo: all of Comb in one process, for one machine.
 *
 * It says that it is ready when every cell has caught up with the log. A
 * SIGTERM that comes while it waits for that is taken at once.
 *
 * Exit code: 0 after SIGTERM or SIGINT, 1 where it cannot do its job (a crit
 * line says why), 2 where a setting is wrong.
 */
#include "ops/kit/daemon.h"
#include "ops/kit/error.h"
#include "ops/solo/solo.h"

static const char summary[] =
    "Gateway, router and cells in one process, on a local log.";

#define READY_POLL_US 2000
#define PLACE(field) G_STRUCT_OFFSET(SoloOptions, field)

static const Setting settings[] = {
    {"data-dir", SETTING_STRING, PLACE(data_dir), NULL, 0, 0, "",
     "Directory of log and cells; default comb/solo in the XDG state "
     "directory."},
    {"cells", SETTING_INT, PLACE(cells), "2", 1, SOLO_CELLS_MAX, "",
     "Cells; fixed once the directory is made."},
    {"partitions", SETTING_INT, PLACE(partitions), "4", 1, 64, "",
     "Partitions of the firehose topic; fixed likewise."},
    {"host", SETTING_STRING, PLACE(host), "127.0.0.1", 0, 0, "",
     "Numeric address to listen on; cells are always on 127.0.0.1."},
    {"router-port", SETTING_INT, PLACE(router_port), "9100", 0, 65535, "",
     "Port of the Dashboard service; 0 takes any."},
    {"gateway-port", SETTING_INT, PLACE(gateway_port), "9110", 0, 65535, "",
     "Port of the Firehose service; 0 takes any."},
    {"http-port", SETTING_INT, PLACE(http_port), "9111", 0, 65535, "",
     "Port of GET /v1/stream; 0 takes any. Not opened with tls-cert: it is "
     "plain text."},
    {"admin-port", SETTING_INT, PLACE(admin_port), "9180", 0, 65535, "",
     "Port of /status, /metrics, /healthz and /readyz; 0 takes any."},
    {"threads", SETTING_INT, PLACE(threads), "1", 1, 64, "",
     "Threads that serve calls, in each of gateway, router and cells."},
    {"connections-max", SETTING_INT, PLACE(connections_max), "10000", 1,
     1 << 20, "",
     "Connections at once, of the router and of each cell; more are closed. "
     "The limit of open files binds, too."},
    {"queue-ms", SETTING_INT, PLACE(queue_ms), "3", 1, 60000, "ms",
     "A call that would wait longer for its thread is refused as overloaded, "
     "where calls have been waiting for a while."},
    {"cell-timeout-ms", SETTING_INT, PLACE(cell_timeout_ms), "2000", 1, 600000,
     "ms", "The router waits so long for a cell's answer."},
    {"checkpoint-s", SETTING_INT, PLACE(checkpoint_s), "30", 1, 86400, "s",
     "Between two tail checkpoints of a cell."},
    {"memory-mb", SETTING_INT, PLACE(memory_mb), "0", 0, 1 << 20, "MiB",
     "For inboxes and followers, of each cell: near it tails are sealed early, "
     "at it applying stops; 0: all share 60 % of the machine's, or of its "
     "control group's."},
    {"cache-mb", SETTING_INT, PLACE(cache_mb), "256", 0, 1 << 20, "MiB",
     "For posts and follows that pages ask for, in each cell."},
    {"fanout-slice", SETTING_INT, PLACE(fanout_slice), "262144", 1, 1 << 30, "",
     "Followers from which on a post is delivered by slices, so many between "
     "two batches of the log."},
    {"retention-hours", SETTING_INT, PLACE(retention_hours), "168", 1,
     24 * 3650, "h", "How long the firehose keeps records, at least."},
    TLS_SERVER_SETTINGS(SoloOptions, tls_files),
    TLS_CELL_SETTINGS(SoloOptions, cell_tls_files),
    {0},
};

/* Cells have the same certificate as the rest, and the router must trust it;
   where they want one too, it must have one. */
static gboolean
check_inside(const SoloOptions *options, GError **error)
{
    const char *missing = NULL, *there = NULL;
    if (options->tls_files.cert != NULL && options->cell_tls_files.ca == NULL) {
        missing = "cell-tls-ca";
        there = "tls-cert is given, for the cells in here too";
    } else if (options->tls_files.cert == NULL &&
               options->cell_tls_files.ca != NULL) {
        missing = "tls-cert";
        there = "cell-tls-ca is given, and the cells are in here";
    } else if (options->tls_files.ca != NULL &&
               options->cell_tls_files.cert == NULL) {
        missing = "cell-tls-cert";
        there = "tls-ca is given, so that cells want one of the router too";
    }
    if (missing == NULL) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "%s: is missing; %s",
                missing, there);
    return FALSE;
}

static gboolean
check(gpointer user_data, GError **error)
{
    const SoloOptions *options = user_data;
    return tls_files_check(&options->tls_files, TLS_SERVER, "tls", error) &&
           tls_files_check(&options->cell_tls_files, TLS_CLIENT, "cell-tls",
                           error) &&
           check_inside(options, error);
}

static void
reload(gpointer solo)
{
    solo_reload(solo);
}

/* TRUE when ready or told to stop, FALSE where it never will be ready. */
static gboolean
wait_ready(Solo *solo, GError **error)
{
    while (!daemon_stop_is_wanted()) {
        g_autofree char *not_yet = solo_ready(solo);
        g_autofree char *never = solo_healthy(solo);
        if (never != NULL) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s", never);
            return FALSE;
        }
        if (not_yet == NULL) {
            g_autofree char *addresses = solo_addresses(solo);
            daemon_ready("%s", addresses);
            return TRUE;
        }
        g_usleep(READY_POLL_US);
    }
    return TRUE;
}

static gboolean
run_solo(const SoloOptions *options, GError **error)
{
    Solo *solo = solo_start(options, error);
    if (solo == NULL) {
        return FALSE;
    }
    gboolean clean = wait_ready(solo, error);
    if (clean) {
        daemon_wait_reloading(solo_has_tls(solo) ? reload : NULL, solo);
    }
    solo_stop(solo);
    return clean;
}

static gboolean
run(gpointer user_data, GError **error)
{
    SoloOptions *options = user_data;
    options->kill = killpoints_from_environment(error);
    if (options->kill == NULL) {
        return FALSE;
    }
    options->status = status_new("solo", summary, settings, options);
    gboolean clean = run_solo(options, error);
    status_free(options->status);
    killpoints_free(options->kill);
    return clean;
}

int
main(int argc, char **argv)
{
    SoloOptions options = {0};
    const DaemonProgram program = {
        .name = "solo",
        .summary = summary,
        .settings = settings,
        .options = &options,
        .check = check,
        .run = run,
    };

    (void)argc;
    return daemon_main(&program, argv);
}
