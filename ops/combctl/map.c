/*
 * map.c - combctl map show and map set: which cell is home to which slots
 *
 * set splits the slots evenly over the cells in the order given and publishes
 * the map under the next epoch. Two at once cannot both win: the gateway
 * takes an epoch once.
 */
#include "ops/combctl/connect.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void
print_map(const CombCellMap *map)
{
    printf("epoch %" G_GINT64_FORMAT ", %u overrides\n", map->epoch,
           g_hash_table_size(map->overrides));
    for (guint i = 0; i < map->cells->len; i++) {
        const CombCellEntry *cell = g_ptr_array_index(map->cells, i);
        printf("cell %4d  %s:%d\n", cell->cell, cell->host, cell->port);
    }
    for (guint i = 0; i < map->ranges->len; i++) {
        const CombSlotRange *range = g_ptr_array_index(map->ranges, i);
        printf("slots %4d to %4d  cell %d\n", range->first, range->last,
               range->cell);
    }
}

static json_t *
overrides_json(GHashTable *overrides)
{
    GHashTableIter iter;
    gpointer user = NULL;
    gpointer cell = NULL;
    json_t *object = json_object();

    g_hash_table_iter_init(&iter, overrides);
    while (g_hash_table_iter_next(&iter, &user, &cell)) {
        g_autofree char *key =
            g_strdup_printf("%" G_GINT64_FORMAT, *(gint64 *)user);
        json_object_set_new(object, key, json_integer(*(gint32 *)cell));
    }
    return object;
}

static void
print_map_json(const CombCellMap *map)
{
    json_t *cells = json_array();
    json_t *ranges = json_array();
    json_auto_t *object = json_pack(
        "{s:I, s:o, s:o, s:o}", "epoch", (json_int_t)map->epoch, "cells", cells,
        "ranges", ranges, "overrides", overrides_json(map->overrides));

    for (guint i = 0; i < map->cells->len; i++) {
        const CombCellEntry *cell = g_ptr_array_index(map->cells, i);
        json_array_append_new(cells, json_pack("{s:i, s:s, s:i}", "cell",
                                               cell->cell, "host", cell->host,
                                               "port", cell->port));
    }
    for (guint i = 0; i < map->ranges->len; i++) {
        const CombSlotRange *range = g_ptr_array_index(map->ranges, i);
        json_array_append_new(
            ranges, json_pack("{s:i, s:i, s:i}", "first", range->first, "last",
                              range->last, "cell", range->cell));
    }
    json_dumpf(object, stdout, 0);
    putchar('\n');
}

static gboolean
run_show(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {.command = command};
    g_autoptr(CombCellMap) map = NULL;

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway != NULL) {
        map = peer_get_map(gateway, error);
    }
    if (map == NULL) {
        return FALSE;
    }
    if (ctl->json) {
        print_map_json(map);
    } else {
        print_map(map);
    }
    return TRUE;
}

/* Reads "N=HOST:PORT". NULL: it is something else. */
static CombCellEntry *
parse_cell(const char *word)
{
    const char *equals = strchr(word, '=');
    const char *colon = strrchr(word, ':');
    guint64 cell = 0;
    guint64 port = 0;

    if (equals == NULL || colon == NULL || colon <= equals + 1) {
        return NULL;
    }
    g_autofree char *number = g_strndup(word, (gsize)(equals - word));
    if (!g_ascii_string_to_unsigned(number, 10, 0, CELL_MAX, &cell, NULL) ||
        !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &port,
                                    NULL)) {
        return NULL;
    }
    CombCellEntry *entry = g_object_new(COMB_TYPE_CELL_ENTRY, NULL);
    g_free(entry->host);
    entry->cell = (gint32)cell;
    entry->host = g_strndup(equals + 1, (gsize)(colon - equals - 1));
    entry->port = (gint32)port;
    return entry;
}

/* Cell @i of @n gets its even share of the slots. */
static CombSlotRange *
make_range(const CombCellEntry *entry, guint i, guint n)
{
    CombSlotRange *range = g_object_new(COMB_TYPE_SLOT_RANGE, NULL);

    range->first = (gint32)(i * SLOTS / n);
    range->last = (gint32)((i + 1) * SLOTS / n - 1);
    range->cell = entry->cell;
    return range;
}

static CombCellMap *
make_map(char **words, GError **error)
{
    g_autoptr(CombCellMap) map = g_object_new(COMB_TYPE_CELL_MAP, NULL);
    guint n = g_strv_length(words);

    for (guint i = 0; i < n; i++) {
        CombCellEntry *entry = parse_cell(words[i]);
        if (entry == NULL) {
            (void)ctl_usage_error(error, "\"%s\" is not N=HOST:PORT", words[i]);
            return NULL;
        }
        g_ptr_array_add(map->cells, entry);
        g_ptr_array_add(map->ranges, make_range(entry, i, n));
    }
    return g_steal_pointer(&map);
}

/* The newest epoch, 0 before the first map. */
static gboolean
get_epoch(const Peer *gateway, gint64 *ret_epoch, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(CombCellMap) map = peer_get_map(gateway, &local);

    if (map == NULL && !g_error_matches(local, COMB_ERROR, COMB_ERROR_INPUT)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    *ret_epoch = map != NULL ? map->epoch : 0;
    return TRUE;
}

static gboolean
run_set(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {
        .command = command, .words_min = 1, .words_max = CELL_MAX + 1};
    g_auto(Refusals) refusals = {0};
    gint64 epoch = 0;

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(CombCellMap) map = make_map(*argv, error);
    if (map == NULL) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway == NULL || !get_epoch(gateway, &epoch, error)) {
        return FALSE;
    }
    map->epoch = epoch + 1;
    if (!comb_firehose_client_set_cell_map(
            gateway->service, &epoch, map, gateway->context, &refusals.invalid,
            &refusals.overloaded, &refusals.deadline, &refusals.unavailable,
            &refusals.denied, error)) {
        return refusals_explain(&refusals, gateway, error);
    }
    printf(ctl->json ? "{\"epoch\": %" G_GINT64_FORMAT "}\n"
                     : "epoch %" G_GINT64_FORMAT "\n",
           epoch);
    return TRUE;
}

const CtlCommand *
map_commands(void)
{
    static const CtlCommand commands[] = {
        {"map show", "", "print the cell map", run_show, 0},
        {"map set", "N=HOST:PORT...", "share the slots out evenly", run_set, 0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
