#include "ops/combctl/bench_request.h"

#include "thrift/frame.h"

#include <string.h>

/* Arguments and field ids of dashboard.thrift and types.thrift. */
enum { ARG_USER = 1, ARG_PAGE = 2, ARG_POSTS = 2, ARG_CONTEXT = 15 };
enum { PAGE_LIMIT = 2 };
enum { CONTEXT_CALLER = 1, CONTEXT_DEADLINE = 2 };
#define PREFIX_BYTES sizeof(gint32)

static const char *const methods[BENCH_METHODS] = {
    [BENCH_DASHBOARD] = "getDashboard",
    [BENCH_TIMELINE] = "getTimeline",
    [BENCH_POSTS] = "getPosts",
};

static void
write_posts(RequestPattern *pattern, const RequestForm *form)
{
    wire_write_field(pattern->bytes, WIRE_LIST, ARG_POSTS);
    wire_write_list(pattern->bytes, WIRE_I64, form->limit);
    pattern->ids_at = pattern->bytes->len;
    pattern->ids = form->limit;
    for (guint i = 0; i < form->limit; i++) {
        wire_write_i64(pattern->bytes, 0);
    }
}

static void
write_page(RequestPattern *pattern, const RequestForm *form)
{
    wire_field_i64(pattern->bytes, ARG_USER, 0);
    pattern->ids_at = pattern->bytes->len - sizeof(gint64);
    pattern->ids = 1;
    wire_write_field(pattern->bytes, WIRE_STRUCT, ARG_PAGE);
    wire_field_i32(pattern->bytes, PAGE_LIMIT, (gint32)form->limit);
    wire_write_stop(pattern->bytes);
}

void
request_pattern_init(RequestPattern *pattern, BenchMethod method,
                     const RequestForm *form)
{
    const char *name = methods[method];
    GByteArray *bytes = g_byte_array_new();
    *pattern = (RequestPattern){.bytes = bytes};
    wire_write_i32(bytes, 0); /* the length, known at the end */
    frame_begin(bytes, FRAME_CALL,
                (WireBytes){(const guint8 *)name, strlen(name)}, 0);
    pattern->seqid_at = bytes->len - sizeof(gint32);
    if (method == BENCH_POSTS) {
        write_posts(pattern, form);
    } else {
        write_page(pattern, form);
    }
    wire_write_field(bytes, WIRE_STRUCT, ARG_CONTEXT);
    wire_field_string(bytes, CONTEXT_CALLER, form->caller);
    wire_field_i32(bytes, CONTEXT_DEADLINE, (gint32)form->deadline_ms);
    wire_write_stop(bytes);
    wire_write_stop(bytes);
    gint32 len = GINT32_TO_BE((gint32)(bytes->len - PREFIX_BYTES));
    memcpy(bytes->data, &len, sizeof len);
}

void
request_pattern_clear(RequestPattern *pattern)
{
    g_clear_pointer(&pattern->bytes, g_byte_array_unref);
}

void
request_write(const RequestPattern *pattern, gint32 seqid, const gint64 *ids,
              GByteArray *out)
{
    gsize from = out->len;
    gint32 big = GINT32_TO_BE(seqid);
    g_byte_array_append(out, pattern->bytes->data, pattern->bytes->len);
    memcpy(out->data + from + pattern->seqid_at, &big, sizeof big);
    for (guint i = 0; i < pattern->ids; i++) {
        gint64 id = GINT64_TO_BE(ids[i]);
        memcpy(out->data + from + pattern->ids_at + i * sizeof id, &id,
               sizeof id);
    }
}
