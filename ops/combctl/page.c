/*
 * page.c - pages of posts, for people and as JSON
 */
#include "ops/combctl/page.h"

#include "ops/combctl/ndjson.h"
#include "ops/combctl/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define AUTHOR_COLUMNS_MAX 24
#define GAP_COLUMNS 2

/* What an entry says, on one line. Gives. */
static char *
entry_text(const CombEntry *entry, const Names *names, guint columns)
{
    const CombPost *post = entry->post;
    const CombPost *about = entry->__isset_original_post ? entry->original_post
                            : entry->__isset_parent_post ? entry->parent_post
                                                         : NULL;
    GString *text = g_string_new(NULL);

    if (about != NULL) {
        g_autofree char *author = names_show(names, (UserId){about->author});
        g_string_append_printf(
            text, "(%s %s) ",
            entry->__isset_original_post ? "reblog of" : "reply to", author);
    }
    if (post->kind != COMB_POST_KIND_TEXT) {
        g_string_append_printf(text, "[%s] ", ndjson_post_kind(post->kind));
    }
    if (post->body != NULL && (post->kind == COMB_POST_KIND_TEXT ||
                               g_utf8_validate((const char *)post->body->data,
                                               post->body->len, NULL))) {
        g_string_append_len(text, (const char *)post->body->data,
                            (gssize)post->body->len);
    } else if (post->body != NULL) {
        g_string_append_printf(text, "%u bytes", post->body->len);
    }
    char *line = text_line(text->str, text->len, columns);
    (void)g_string_free(text, TRUE);
    return line;
}

/* As many tags as fit into @columns. */
static void
print_tags(const CombPost *post, guint columns)
{
    for (guint i = 0; i < post->tags->len; i++) {
        const char *tag = g_ptr_array_index(post->tags, i);
        g_autofree char *clean = text_line(tag, strlen(tag), columns);
        guint width = text_width(clean) + 2;
        if (width > columns) {
            return;
        }
        printf(" #%s", clean);
        columns -= width;
    }
}

static void
print_entry(const CombEntry *entry, const Names *names, guint author_columns,
            guint columns)
{
    g_autofree char *time = text_time(id_ms(entry->post->id));
    g_autofree char *name = names_show(names, (UserId){entry->post->author});
    g_autofree char *author = text_line(name, strlen(name), author_columns);
    guint used = (guint)strlen(time) + author_columns + 2 * GAP_COLUMNS;
    guint left = columns > used ? columns - used : 0;
    g_autofree char *line = entry_text(entry, names, left);
    guint width = text_width(line);

    printf("%s  %s%*s  %s", time, author,
           (int)(author_columns - text_width(author)), "", line);
    print_tags(entry->post, left > width ? left - width : 0);
    putchar('\n');
}

void
page_print_text(const CombPage *page, const Names *names)
{
    guint author_columns = 0;

    for (guint i = 0; i < page->entries->len; i++) {
        const CombEntry *entry = g_ptr_array_index(page->entries, i);
        g_autofree char *name =
            names_show(names, (UserId){entry->post->author});
        g_autofree char *author =
            text_line(name, strlen(name), AUTHOR_COLUMNS_MAX);
        author_columns = MAX(author_columns, text_width(author));
    }
    for (guint i = 0; i < page->entries->len; i++) {
        print_entry(g_ptr_array_index(page->entries, i), names, author_columns,
                    text_columns());
    }
}

void
page_print_ids(const CombPage *page)
{
    for (guint i = 0; i < page->entries->len; i++) {
        const CombEntry *entry = g_ptr_array_index(page->entries, i);
        printf("%" G_GINT64_FORMAT "\n", entry->post->id);
    }
}

static void
set_body(json_t *object, const GByteArray *body)
{
    const char *text = (const char *)body->data;
    json_t *value =
        body->len == 0 ? json_string("") : json_stringn(text, body->len);

    if (value != NULL) {
        json_object_set_new(object, "body", value);
        return;
    }
    g_autofree char *base64 = g_base64_encode(body->data, body->len);
    json_object_set_new(object, "body_base64", json_string(base64));
}

static void
set_tags(json_t *object, const GPtrArray *tags)
{
    json_t *list = json_array();

    for (guint i = 0; i < tags->len; i++) {
        json_array_append_new(list, json_string(g_ptr_array_index(tags, i)));
    }
    json_object_set_new(object, "tags", list);
}

static json_t *
post_json(const CombPost *post, const Names *names)
{
    json_t *object = json_pack("{s:I, s:I, s:s}", "id", (json_int_t)post->id,
                               "author", (json_int_t)post->author, "kind",
                               ndjson_post_kind(post->kind));
    const char *name = names_find(names, (UserId){post->author});

    if (name != NULL) {
        json_object_set_new(object, "author_name", json_string(name));
    }
    if (post->__isset_body) {
        set_body(object, post->body);
    }
    if (post->__isset_tags) {
        set_tags(object, post->tags);
    }
    if (post->__isset_reply_to) {
        json_object_set_new(object, "reply_to", json_integer(post->reply_to));
    }
    if (post->__isset_reblog_of) {
        json_object_set_new(object, "reblog_of", json_integer(post->reblog_of));
    }
    return object;
}

static json_t *
entry_json(const CombEntry *entry, const Names *names)
{
    json_t *object = json_pack(
        "{s:o, s:s}", "post", post_json(entry->post, names), "reason",
        entry->reason == COMB_REASON_AUTHORED ? "authored" : "followed");

    if (entry->__isset_parent_post) {
        json_object_set_new(object, "parent_post",
                            post_json(entry->parent_post, names));
    }
    if (entry->__isset_original_post) {
        json_object_set_new(object, "original_post",
                            post_json(entry->original_post, names));
    }
    return object;
}

static const char *
end_word(CombPageEnd end)
{
    if (end == COMB_PAGE_END_MORE) {
        return "more";
    }
    return end == COMB_PAGE_END_END_OF_INBOX ? "end_of_inbox"
                                             : "nothing_newer_yet";
}

void
page_print_json(const CombPage *page, const Names *names)
{
    json_t *entries = json_array();
    json_auto_t *object =
        json_pack("{s:o, s:s*, s:s*, s:s, s:b, s:I, s:I, s:s*}", "entries",
                  entries, "older", page->__isset_older ? page->older : NULL,
                  "newer", page->__isset_newer ? page->newer : NULL, "page_end",
                  end_word(page->page_end), "complete", page->complete, "as_of",
                  (json_int_t)page->as_of, "lag_ms", (json_int_t)page->lag_ms,
                  "stale", page->__isset_stale ? page->stale : NULL);

    for (guint i = 0; i < page->entries->len; i++) {
        json_array_append_new(
            entries, entry_json(g_ptr_array_index(page->entries, i), names));
    }
    json_dumpf(object, stdout, 0);
    putchar('\n');
}
