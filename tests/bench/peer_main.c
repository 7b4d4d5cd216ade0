/*
 * comb-bench-peer - what others need for the same deliveries
 *
 *     comb-bench-peer COMMAND --graph FILE [options]
 */
#include "tests/bench/peer.h"

#include "tests/bench/usage.h"

#include <stdio.h>
#include <string.h>

typedef struct Command {
    const char *name;
    int (*run)(const Peer *peer);
} Command;

static const Command commands[] = {
    {"redis-list", peer_redis_list},     {"redis-zset", peer_redis_zset},
    {"rocksdb-rows", peer_rocksdb_rows}, {"copy", peer_copy},
    {"rows-digest", peer_rows_digest},
};

void
peer_print(const Peer *peer, const PeerResult *result)
{
    double deliveries = (double)peer->plan.deliveries;
    printf("{\"deliveries\":%.0f,\"seconds\":%.4f,\"per_s\":%.0f,"
           "\"cpu_us\":%.4f,\"bytes_per_entry\":%.2f,"
           "\"digest\":\"%016" G_GINT64_MODIFIER
           "x\",\"digest_entries\":%" G_GUINT64_FORMAT "}\n",
           deliveries, result->seconds, deliveries / result->seconds,
           (double)result->cpu_us / deliveries, result->bytes_per_entry,
           result->digest, result->digest_entries);
}

Stream *
peer_stream(const Peer *peer)
{
    Stream *stream = stream_new(peer->world);
    for (guint64 i = 0; i < peer->plan.fill_posts; i++) {
        (void)stream_next(stream);
    }
    return stream;
}

static gboolean
open_world(Peer *peer, GError **error)
{
    if (peer->graph == NULL) {
        return FALSE;
    }
    peer->world = world_open(peer->graph, error);
    if (peer->world != NULL) {
        peer->plan = stream_plan(
            peer->world, (guint64)peer->fill * peer->world->header->users,
            (guint64)peer->prefix);
    }
    return peer->world != NULL;
}

int
main(int argc, char **argv)
{
    Peer peer = {.fill = 100, .prefix = 1000000};
    const GOptionEntry options[] = {
        {"graph", 0, 0, G_OPTION_ARG_FILENAME, &peer.graph, "The world's file",
         "FILE"},
        {"socket", 0, 0, G_OPTION_ARG_FILENAME, &peer.socket,
         "A redis-server's", "PATH"},
        {"dir", 0, 0, G_OPTION_ARG_FILENAME, &peer.dir, "For a RocksDB", "DIR"},
        {"fill", 0, 0, G_OPTION_ARG_INT64, &peer.fill,
         "Entries a user before the measured range (100)", "N"},
        {"prefix", 0, 0, G_OPTION_ARG_INT64, &peer.prefix,
         "Deliveries (1000000)", "N"},
        {"tell", 0, 0, G_OPTION_ARG_NONE, &peer.tell,
         "Each inbox's digest on standard error", NULL},
        {0},
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new("COMMAND");
    g_option_context_add_main_entries(context, options, NULL);
    const Command *command = NULL;
    gboolean good = g_option_context_parse(context, &argc, &argv, &error) &&
                    argc == 2 && open_world(&peer, &error);
    for (guint i = 0; good && i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            command = &commands[i];
        }
    }
    if (command == NULL) {
        fprintf(stderr, "comb-bench-peer: %s\n",
                error != NULL ? error->message : "needs a COMMAND and --graph");
        return 2;
    }
    usage_pin(USAGE_LOAD_CORE);
    int status = command->run(&peer);
    world_close(peer.world);
    g_free(peer.graph);
    g_free(peer.socket);
    g_free(peer.dir);
    return status;
}
