#include "tests/kit/page_seen.h"

/* The id of an encoded post, its first field. */
static gint64
post_id(WireBytes post)
{
    WireReader reader;
    WireField field;
    wire_reader_init(&reader, post.data, post.len);
    return wire_read_field(&reader, &field) && field.id == 1
               ? wire_read_i64(&reader)
               : 0;
}

static gboolean
entry_read(WireBytes bytes, SeenEntry *ret_entry)
{
    WireReader reader;
    WireField field;
    *ret_entry = (SeenEntry){0};
    wire_reader_init(&reader, bytes.data, bytes.len);
    while (wire_read_field(&reader, &field)) {
        if (field.type != WIRE_STRUCT) {
            wire_skip(&reader, field.type);
            continue;
        }
        WireBytes value = wire_read_value(&reader, WIRE_STRUCT);
        if (field.id == 1) {
            ret_entry->post = value;
            ret_entry->id = post_id(value);
        } else if (field.id == 3) {
            ret_entry->parent = value;
        } else if (field.id == 4) {
            ret_entry->original = value;
        }
    }
    return !reader.failed;
}

static gboolean
entries_read(WireReader *reader, GArray *entries)
{
    WireType type;
    for (guint32 n = wire_read_list(reader, &type); n > 0; n--) {
        SeenEntry entry;
        if (!entry_read(wire_read_value(reader, WIRE_STRUCT), &entry)) {
            return FALSE;
        }
        g_array_append_val(entries, entry);
    }
    return TRUE;
}

static gboolean
field_read(WireReader *reader, WireField field, PageSeen *page)
{
    switch (field.id) {
    case 1:
        return entries_read(reader, page->entries);
    case 2:
        page->older = wire_read_bytes(reader);
        return TRUE;
    case 3:
        page->newer = wire_read_bytes(reader);
        return TRUE;
    case 4:
        page->end = wire_read_i32(reader);
        return TRUE;
    case 5:
        page->complete = wire_read_bool(reader);
        return TRUE;
    case 6:
        page->as_of = wire_read_i64(reader);
        return TRUE;
    case 8:
        page->stale = TRUE;
        break;
    default:
        break;
    }
    wire_skip(reader, field.type);
    return TRUE;
}

gboolean
page_seen_read(GByteArray *bytes, PageSeen *ret_page)
{
    WireReader reader;
    WireField field;
    *ret_page = (PageSeen){.bytes = bytes};
    ret_page->entries = g_array_new(FALSE, FALSE, sizeof(SeenEntry));
    wire_reader_init(&reader, bytes->data, bytes->len);
    while (wire_read_field(&reader, &field)) {
        if (!field_read(&reader, field, ret_page)) {
            return FALSE;
        }
    }
    return !reader.failed && reader.at == reader.end;
}

void
page_seen_clear(PageSeen *page)
{
    g_clear_pointer(&page->bytes, g_byte_array_unref);
    g_clear_pointer(&page->entries, g_array_unref);
}

gboolean
posts_seen_read(const GByteArray *bytes, GArray *found, GArray *missing)
{
    WireReader reader;
    WireField field;
    WireType type;
    wire_reader_init(&reader, bytes->data, bytes->len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == 3) {
            wire_skip(&reader, field.type); /* stale */
            continue;
        }
        guint32 n = wire_read_list(&reader, &type);
        for (; n > 0 && field.id == 1; n--) {
            WireBytes post = wire_read_value(&reader, WIRE_STRUCT);
            g_array_append_val(found, post);
        }
        for (; n > 0; n--) {
            gint64 id = wire_read_i64(&reader);
            g_array_append_val(missing, id);
        }
    }
    return !reader.failed && reader.at == reader.end;
}
