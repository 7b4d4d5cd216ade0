#include "tests/bench/pages.h"

#include "ops/kit/ensure.h"
#include "thrift/limits.h"

#include <stdio.h>
#include <stdlib.h>

/* Field ids of struct Page, and its end (dashboard.thrift). */
enum { PAGE_ENTRIES = 1, PAGE_OLDER = 2, PAGE_END = 4 };
#define PAGE_END_MORE 1

void
pages_init(Pages *pages, State *state)
{
    *pages = (Pages){.state = state,
                     .bytes = g_byte_array_sized_new(64 * 1024),
                     .ids = g_array_new(FALSE, FALSE, sizeof(gint64))};
}

void
pages_clear(Pages *pages)
{
    g_byte_array_unref(pages->bytes);
    g_array_unref(pages->ids);
}

void
pages_read(Pages *pages, UserId user, gint64 from, guint limit)
{
    PageQuery query = {CURSOR_DASHBOARD, user, TRUE, from, limit};
    g_byte_array_set_size(pages->bytes, 0);
    if (!page_write(pages->state, &query, pages->bytes)) {
        fprintf(stderr, "comb-bench-cell: a page could not be read\n");
        exit(EXIT_FAILURE);
    }
}

static void
pages_entries(Pages *pages, WireReader *reader)
{
    WireType type;
    guint32 n = wire_read_list(reader, &type);
    for (; n > 0; n--) {
        WireReader entry;
        WireField field;
        Post post;
        WireBytes value = wire_read_value(reader, WIRE_STRUCT);
        wire_reader_init(&entry, value.data, value.len);
        ensure(wire_read_field(&entry, &field));
        ensure(post_decode(wire_read_value(&entry, WIRE_STRUCT), &post));
        g_array_append_val(pages->ids, post.id.v);
    }
}

void
pages_ids(Pages *pages, UserId user)
{
    WireReader reader;
    WireField field;
    g_array_set_size(pages->ids, 0);
    pages->more = FALSE;
    wire_reader_init(&reader, pages->bytes->data, pages->bytes->len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == PAGE_ENTRIES) {
            pages_entries(pages, &reader);
        } else if (field.id == PAGE_OLDER) {
            WireBytes text = wire_read_bytes(&reader);
            ensure(cursor_read(text, CURSOR_DASHBOARD, user, &pages->older) ==
                   CURSOR_GOOD);
        } else if (field.id == PAGE_END) {
            pages->more = wire_read_i32(&reader) == PAGE_END_MORE;
        } else {
            wire_skip(&reader, field.type);
        }
    }
    ensure(!reader.failed);
}

void
pages_inbox(Pages *pages, UserId user, gint64 after, gint64 upto, GArray *out)
{
    gint64 from = upto + 1;
    do {
        pages_read(pages, user, from, PAGE_LIMIT_MAX);
        pages_ids(pages, user);
        for (guint i = 0; i < pages->ids->len; i++) {
            gint64 id = g_array_index(pages->ids, gint64, i);
            if (id > after) {
                g_array_append_val(out, id);
            }
        }
        from = pages->older;
    } while (pages->more && from > after + 1);
}
