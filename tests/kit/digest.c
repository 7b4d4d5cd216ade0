/*
 * comb-digest - everybody's whole dashboard, as one line a user
 *
 *     comb-digest [--timeline] [--ids] HOST:PORT < users
 *
 * Pages through the dashboard (or timeline) of each user number given on
 * standard input, from the newest post to the end, and prints
 *
 *     user count hash
 *
 * where the hash is XXH64 (seed 0) over the post ids as 8 little-endian bytes
 * each, newest first; with --ids the ids themselves follow instead. Users are
 * independent, so some are in flight at once over one connection (lanes); the
 * order of the lines is that of completion.
 *
 * Python's Thrift would need an hour for the millions of entries that the
 * scenarios compare; this decodes post ids and nothing else. It checks what a
 * digest would hide: ids strictly descend within a page and from page to
 * page, pages keep to the limit, and a page that says there is more brings
 * something. Any breach, refusal or lost connection ends it with status 1 and
 * a line that names the user.
 */
#include "ops/kit/error.h"
#include "tests/kit/call.h"
#include "thrift/limits.h"
#include "thrift/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Requests in flight; well within what a server takes of one connection. */
#define LANES 8

/* Values of enum PageEnd in dashboard.thrift. */
#define PAGE_END_MORE 1
#define PAGE_END_OF_INBOX 3

/* One user's walk; free while user is 0. */
typedef struct Lane {
    gint64 user;
    gint64 below; /* the last id seen: the next must be smaller */
    guint64 count;
    XXH64_state_t *hash;
    GArray *ids;        /* of gint64, only with --ids */
    GByteArray *cursor; /* of the next page */
} Lane;

/* What a page says, less its posts. */
typedef struct PageInfo {
    guint32 entries;
    WireBytes older;
    gint32 end;
    gboolean complete;
} PageInfo;

typedef struct Digest {
    Call *call;
    const char *method;
    gboolean print_ids;
    Lane lanes[LANES];
} Digest;

static gint64
read_post_id(WireReader *reader)
{
    gint64 id = 0;
    WireField field;
    while (wire_read_field(reader, &field)) {
        if (field.id == 1 && field.type == WIRE_I64) {
            id = wire_read_i64(reader);
        } else {
            wire_skip(reader, field.type);
        }
    }
    return id;
}

static gint64
read_entry(WireReader *reader)
{
    gint64 id = 0;
    WireField field;
    while (wire_read_field(reader, &field)) {
        if (field.id == 1 && field.type == WIRE_STRUCT) {
            id = read_post_id(reader);
        } else {
            wire_skip(reader, field.type);
        }
    }
    return id;
}

static gboolean
take_id(Lane *lane, gint64 id, GError **error)
{
    if (id <= 0 || id >= lane->below) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "post %" PRId64 " comes below post %" PRId64, id,
                    lane->below);
        return FALSE;
    }
    guint64 bytes = GUINT64_TO_LE((guint64)id);
    XXH64_update(lane->hash, &bytes, sizeof bytes);
    if (lane->ids) {
        g_array_append_val(lane->ids, id);
    }
    lane->below = id;
    lane->count++;
    return TRUE;
}

static gboolean
read_entries(Lane *lane, WireReader *reader, guint32 *ret_n, GError **error)
{
    WireType type;
    guint32 n = wire_read_list(reader, &type);
    for (guint32 i = 0; i < n && !reader->failed; i++) {
        if (!take_id(lane, read_entry(reader), error)) {
            return FALSE;
        }
    }
    *ret_n = n;
    return TRUE;
}

static gboolean
read_page(Lane *lane, WireReader *reader, PageInfo *ret_info, GError **error)
{
    PageInfo info = {0};
    WireField field;
    while (wire_read_field(reader, &field)) {
        if (field.id == 1 && field.type == WIRE_LIST) {
            if (!read_entries(lane, reader, &info.entries, error)) {
                return FALSE;
            }
        } else if (field.id == 2 && field.type == WIRE_BINARY) {
            info.older = wire_read_bytes(reader);
        } else if (field.id == 4 && field.type == WIRE_I32) {
            info.end = wire_read_i32(reader);
        } else if (field.id == 5 && field.type == WIRE_BOOL) {
            info.complete = wire_read_bool(reader);
        } else {
            wire_skip(reader, field.type);
        }
    }
    if (reader->failed) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "a page that does not decode");
        return FALSE;
    }
    *ret_info = info;
    return TRUE;
}

/* The promises of a page that its ids do not show. */
static gboolean
check_page(const PageInfo *info, GError **error)
{
    const char *breach = NULL;
    if (info->entries > PAGE_LIMIT_MAX) {
        breach = "more entries than asked for";
    } else if (info->end != PAGE_END_MORE && info->end != PAGE_END_OF_INBOX) {
        breach = "neither more nor the end";
    } else if (info->end == PAGE_END_MORE && !info->older.len) {
        breach = "more, but no cursor to it";
    } else if (info->end == PAGE_END_MORE && info->complete && !info->entries) {
        breach = "a complete page with more below and nothing in it";
    }
    if (breach) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s", breach);
    }
    return !breach;
}

static gboolean
ask(Digest *digest, guint lane_number, GError **error)
{
    const Lane *lane = &digest->lanes[lane_number];
    CallPage page = {
        .method = digest->method,
        .user = lane->user,
        .cursor = lane->cursor,
        .limit = PAGE_LIMIT_MAX,
    };
    return call_send_page(digest->call, (gint32)lane_number, &page, error);
}

/* Begins the next user of the input; FALSE where there is none. */
static gboolean
begin_user(Lane *lane)
{
    char line[64];
    if (!fgets(line, sizeof line, stdin)) {
        return FALSE;
    }
    lane->user = strtoll(line, NULL, 10);
    lane->below = G_MAXINT64;
    lane->count = 0;
    XXH64_reset(lane->hash, 0);
    g_byte_array_set_size(lane->cursor, 0);
    if (lane->ids) {
        g_array_set_size(lane->ids, 0);
    }
    return TRUE;
}

static void
finish_user(Lane *lane)
{
    printf("%" PRId64 " %" PRIu64, lane->user, lane->count);
    if (lane->ids) {
        for (guint i = 0; i < lane->ids->len; i++) {
            printf(" %" PRId64, g_array_index(lane->ids, gint64, i));
        }
    } else {
        printf(" %016" PRIx64, (guint64)XXH64_digest(lane->hash));
    }
    putchar('\n');
    lane->user = 0;
}

static gboolean
take_answer(Lane *lane, const Frame *frame, gboolean *ret_more, GError **error)
{
    WireReader reader;
    if (!frame_struct(frame, REPLY_SUCCESS, &reader)) {
        guint refusal = REPLY_INVALID;
        while (refusal < REPLY_NOT_FOUND &&
               frame->field[refusal].type == WIRE_STOP) {
            refusal++;
        }
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                    "refused with exception %u", refusal);
        return FALSE;
    }
    PageInfo info = {0};
    if (!read_page(lane, &reader, &info, error) || !check_page(&info, error)) {
        return FALSE;
    }
    g_byte_array_set_size(lane->cursor, 0);
    if (info.older.len) {
        g_byte_array_append(lane->cursor, info.older.data,
                            (guint)info.older.len);
    }
    *ret_more = info.end == PAGE_END_MORE;
    return TRUE;
}

static gboolean
start_lanes(Digest *digest, guint *ret_busy, GError **error)
{
    guint busy = 0;
    while (busy < LANES && begin_user(&digest->lanes[busy])) {
        if (!ask(digest, busy, error)) {
            return FALSE;
        }
        busy++;
    }
    *ret_busy = busy;
    return TRUE;
}

static gboolean
walk(Digest *digest, GError **error)
{
    guint busy = 0;
    if (!start_lanes(digest, &busy, error)) {
        return FALSE;
    }
    while (busy) {
        Frame frame;
        if (!call_receive(digest->call, &frame, error)) {
            return FALSE;
        }
        guint number = (guint)frame.seqid;
        if (number >= LANES || !digest->lanes[number].user) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "an answer to nothing that was asked");
            return FALSE;
        }
        Lane *lane = &digest->lanes[number];
        gboolean more = FALSE;
        if (!take_answer(lane, &frame, &more, error)) {
            g_prefix_error(error, "user %" PRId64 ": ", lane->user);
            return FALSE;
        }
        if (!more) {
            finish_user(lane);
            more = begin_user(lane);
        }
        if (!more) {
            busy--;
        } else if (!ask(digest, number, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void
lanes_init(Digest *digest)
{
    for (guint i = 0; i < LANES; i++) {
        digest->lanes[i] = (Lane){
            .hash = XXH64_createState(),
            .cursor = g_byte_array_new(),
            .ids = digest->print_ids ? g_array_new(FALSE, FALSE, sizeof(gint64))
                                     : NULL,
        };
    }
}

static void
lanes_clear(Digest *digest)
{
    for (guint i = 0; i < LANES; i++) {
        XXH64_freeState(digest->lanes[i].hash);
        g_byte_array_unref(digest->lanes[i].cursor);
        if (digest->lanes[i].ids) {
            g_array_unref(digest->lanes[i].ids);
        }
    }
}

int
main(int argc, char **argv)
{
    gboolean timeline = FALSE;
    Digest digest = {0};
    const GOptionEntry options[] = {
        {"timeline", 0, 0, G_OPTION_ARG_NONE, &timeline,
         "Timelines instead of dashboards", NULL},
        {"ids", 0, 0, G_OPTION_ARG_NONE, &digest.print_ids,
         "The ids instead of their hash", NULL},
        {0},
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context =
        g_option_context_new("HOST:PORT < users");
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
        fprintf(stderr, "comb-digest: %s\n",
                error ? error->message : "needs one HOST:PORT");
        return 2;
    }
    digest.method = timeline ? "getTimeline" : "getDashboard";
    g_autoptr(Call) call = call_open(argv[1], &error);
    digest.call = call;
    lanes_init(&digest);
    gboolean done = call && walk(&digest, &error);
    lanes_clear(&digest);
    if (!done) {
        fprintf(stderr, "comb-digest: %s\n", error->message);
    }
    return done ? 0 : 1;
}
