/*
 * comb-page-read - how long one page takes
 *
 *     comb-page-read [--limit N] HOST:PORT < users
 *
 * Reads the first dashboard page of each user on standard input, one after
 * the other over one connection: a closed loop of one, so that what is
 * measured is latency and not queueing. Prints one line of JSON with the
 * percentiles in microseconds and the bytes of the mean answer. The clock
 * runs from before the request is written until the answer is whole and has
 * been scanned.
 *
 * A refusal or a lost connection ends it with status 1: a figure over answers
 * that were not pages would flatter.
 */
#include "tests/kit/call.h"
#include "thrift/limits.h"
#include "thrift/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int
compare_times(gconstpointer a, gconstpointer b)
{
    gint64 left = *(const gint64 *)a;
    gint64 right = *(const gint64 *)b;
    return (left > right) - (left < right);
}

static gint64
percentile(const GArray *times, guint hundredths)
{
    guint at = (guint)((guint64)(times->len - 1) * hundredths / 100);
    return g_array_index(times, gint64, at);
}

/* Reads one page and notes its time; FALSE after telling why not. */
static gboolean
read_one(Call *call, CallPage *page, GArray *times, guint64 *bytes)
{
    g_autoptr(GError) error = NULL;
    Frame frame;
    gint64 begin = g_get_monotonic_time();
    if (!call_send_page(call, 0, page, &error) ||
        !call_receive(call, &frame, &error)) {
        fprintf(stderr, "comb-page-read: %s\n", error->message);
        return FALSE;
    }
    gint64 took = g_get_monotonic_time() - begin;
    if (frame.field[REPLY_SUCCESS].type != WIRE_STRUCT) {
        fprintf(stderr, "comb-page-read: user %" PRId64 " was refused\n",
                page->user);
        return FALSE;
    }
    g_array_append_val(times, took);
    *bytes += frame.field[REPLY_SUCCESS].value.len;
    return TRUE;
}

static gboolean
read_all(Call *call, gint32 limit)
{
    g_autoptr(GByteArray) cursor = g_byte_array_new();
    g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(gint64));
    CallPage page = {
        .method = "getDashboard", .cursor = cursor, .limit = limit};
    guint64 bytes = 0;
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        page.user = strtoll(line, NULL, 10);
        if (!read_one(call, &page, times, &bytes)) {
            return FALSE;
        }
    }
    if (!times->len) {
        fprintf(stderr, "comb-page-read: no users on standard input\n");
        return FALSE;
    }
    g_array_sort(times, compare_times);
    printf("{\"reads\":%u,\"p50_us\":%" PRId64 ",\"p99_us\":%" PRId64
           ",\"max_us\":%" PRId64 ",\"bytes\":%" PRIu64 "}\n",
           times->len, percentile(times, 50), percentile(times, 99),
           percentile(times, 100), bytes / times->len);
    return TRUE;
}

int
main(int argc, char **argv)
{
    gint limit = PAGE_LIMIT_DEFAULT;
    const GOptionEntry options[] = {
        {"limit", 0, 0, G_OPTION_ARG_INT, &limit, "Posts in a page", "N"},
        {0},
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context =
        g_option_context_new("HOST:PORT < users");
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
        fprintf(stderr, "comb-page-read: %s\n",
                error ? error->message : "needs one HOST:PORT");
        return 2;
    }
    g_autoptr(Call) call = call_open(argv[1], &error);
    if (!call) {
        fprintf(stderr, "comb-page-read: %s\n", error->message);
        return 1;
    }
    return read_all(call, limit) ? 0 : 1;
}
