/*
 * read.c - combctl dashboard and timeline: pages of posts
 *
 * One page, or with --all page after page until there is no more. --count
 * pages on silently after the page that was asked for, to say how many there
 * are. A page that says it is not complete is followed by its cursor like any
 * other.
 */
#include "ops/combctl/connect.h"
#include "ops/combctl/page.h"
#include "ops/combctl/text.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <stdio.h>
#include <string.h>

#define LIMIT_NONE G_MININT

enum { READ_DASHBOARD, READ_TIMELINE };

typedef struct ReadFlags {
    gint limit;      /* posts a page; LIMIT_NONE: not given */
    char *cursor;    /* owned; NULL: the newest */
    gboolean newer;  /* the other direction */
    gboolean all;    /* every page */
    gboolean ids;    /* ids instead of lines */
    gboolean count;  /* say how many pages there are */
    char **at_least; /* positions to be applied first; owned; NULL: none */
} ReadFlags;

typedef struct Read {
    Ctl *ctl;                  /* borrowed */
    const CtlCommand *command; /* its variant says which call */
    const char *word;          /* the user as typed */
    UserId user;               /* whose pages */
    ReadFlags flags;           /* from the command line */
    Peer *router;              /* who is asked */
    guint64 pages;             /* read so far */
    guint64 posts;             /* on them */
} Read;

/* The page at @cursor; NULL with *error. */
static CombPage *
fetch_page(const Read *read, const char *cursor, gint limit, GError **error)
{
    g_auto(Refusals) refusals = {0};
    g_autoptr(CombPageRequest) request =
        g_object_new(COMB_TYPE_PAGE_REQUEST, NULL);
    g_autoptr(CombPage) page = g_object_new(COMB_TYPE_PAGE, NULL);
    const Peer *router = read->router;

    request->cursor = g_strdup(cursor);
    request->__isset_cursor = cursor != NULL;
    request->limit = limit;
    request->__isset_limit = limit != LIMIT_NONE;
    request->direction = COMB_DIRECTION_NEWER;
    request->__isset_direction = read->flags.newer;
    gboolean done =
        read->command->variant == READ_DASHBOARD
            ? comb_dashboard_client_get_dashboard(
                  router->service, &page, read->user.v, request,
                  router->context, &refusals.invalid, &refusals.not_homed,
                  &refusals.overloaded, &refusals.deadline,
                  &refusals.unavailable, &refusals.denied, error)
            : comb_dashboard_client_get_timeline(
                  router->service, &page, read->user.v, request,
                  router->context, &refusals.invalid, &refusals.overloaded,
                  &refusals.deadline, &refusals.unavailable, &refusals.denied,
                  error);
    if (!done) {
        (void)refusals_explain(&refusals, router, error);
        return NULL;
    }
    return g_steal_pointer(&page);
}

/* The cursor of the page behind @page; NULL where there is none. Borrowed. */
static const char *
next_cursor(const Read *read, const CombPage *page)
{
    if (page->page_end != COMB_PAGE_END_MORE && page->complete) {
        return NULL;
    }
    return read->flags.newer ? page->newer : page->older;
}

static void
print_page(Read *read, const CombPage *page)
{
    const Names *names = ctl_names(read->ctl);

    read->pages++;
    read->posts += page->entries->len;
    if (read->ctl->json) {
        page_print_json(page, names);
    } else if (read->flags.ids) {
        page_print_ids(page);
    } else {
        page_print_text(page, names);
    }
    if (page->__isset_stale) {
        fprintf(stderr, "stale: %s\n", page->stale);
    }
}

/* Pages on from @cursor to the end, in the largest pages there are. */
static gboolean
count_posts(const Read *read, const char *cursor, guint64 *ret_posts,
            GError **error)
{
    g_autofree char *at = g_strdup(cursor);
    guint64 posts = 0;

    while (at != NULL) {
        g_autoptr(CombPage) page = fetch_page(read, at, PAGE_LIMIT_MAX, error);
        if (page == NULL) {
            return FALSE;
        }
        posts += page->entries->len;
        g_free(at);
        at = g_strdup(next_cursor(read, page));
    }
    *ret_posts = posts;
    return TRUE;
}

/* "page 1 of 12 (231 posts)", or without the part that nobody counted. */
static gboolean
print_place(const Read *read, const char *cursor, GError **error)
{
    guint limit = read->flags.limit != LIMIT_NONE ? (guint)read->flags.limit
                                                  : PAGE_LIMIT_DEFAULT;
    const char *first = read->flags.cursor != NULL ? "this page" : "page 1";
    guint64 more = 0;

    if (!read->flags.count) {
        printf("%s, %" G_GUINT64_FORMAT " posts", first, read->posts);
        return TRUE;
    }
    if (!count_posts(read, cursor, &more, error)) {
        return FALSE;
    }
    g_autofree char *posts = text_count(read->posts + more);
    guint64 pages = 1 + (more + limit - 1) / limit;
    printf("%s of %" G_GUINT64_FORMAT " (%s posts)", first, pages, posts);
    return TRUE;
}

/* What stands under a page for people. */
static gboolean
print_footer(const Read *read, const CombPage *page, GError **error)
{
    const char *cursor = next_cursor(read, page);
    const char *direction = read->flags.newer ? " --newer" : "";

    if (!print_place(read, cursor, error)) {
        return FALSE;
    }
    if (cursor != NULL) {
        g_autofree char *user = text_quote(read->word);
        g_autofree char *quoted = text_quote(cursor);
        printf("; %s: combctl %s %s%s --cursor %s\n",
               read->flags.newer ? "newer" : "older", read->command->name, user,
               direction, quoted);
        return TRUE;
    }
    puts(page->page_end == COMB_PAGE_END_NOTHING_NEWER_YET
             ? "; nothing newer yet"
             : "; nothing older");
    return TRUE;
}

static gboolean
read_pages(Read *read, GError **error)
{
    g_autofree char *cursor = g_strdup(read->flags.cursor);
    gboolean quiet = read->ctl->json || read->flags.ids;

    for (;;) {
        g_autoptr(CombPage) page =
            fetch_page(read, cursor, read->flags.limit, error);
        if (page == NULL) {
            return FALSE;
        }
        print_page(read, page);
        g_free(cursor);
        cursor = g_strdup(next_cursor(read, page));
        if (!read->flags.all) {
            return quiet || print_footer(read, page, error);
        }
        if (cursor == NULL) {
            break;
        }
    }
    if (!quiet) {
        g_autofree char *posts = text_count(read->posts);
        printf("%s posts on %" G_GUINT64_FORMAT " pages\n", posts, read->pages);
    }
    return TRUE;
}

static gboolean
parse_flags(Read *read, char ***argv, GError **error)
{
    ReadFlags *flags = &read->flags;
    const char *name = NULL;
    const GOptionEntry entries[] = {
        {"limit", 0, 0, G_OPTION_ARG_INT, &flags->limit,
         "Posts a page, 1 to 100 (20)", "N"},
        {"cursor", 0, 0, G_OPTION_ARG_FILENAME, &flags->cursor,
         "Go on behind an earlier page", "C"},
        {"newer", 0, 0, G_OPTION_ARG_NONE, &flags->newer,
         "Newer than the cursor, not older", NULL},
        {"all", 0, 0, G_OPTION_ARG_NONE, &flags->all, "Every page", NULL},
        {"ids", 0, 0, G_OPTION_ARG_NONE, &flags->ids,
         "Print ids only, one a line", NULL},
        {"count", 0, 0, G_OPTION_ARG_NONE, &flags->count,
         "Say how many pages there are", NULL},
        {"at-least", 0, 0, G_OPTION_ARG_STRING_ARRAY, &flags->at_least,
         "Wait until the event of this position is applied (post --json "
         "prints it); more than one is fine",
         "P"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    const CtlSyntax syntax = {.command = read->command,
                              .entries = entries,
                              .words_min = 1,
                              .words_max = 1};

    if (!ctl_parse(read->ctl, &syntax, argv, error)) {
        return FALSE;
    }
    read->word = (*argv)[0];
    if (!names_parse(read->word, &read->user, &name)) {
        return ctl_usage_error(error, "\"%s\" is no user", read->word);
    }
    return TRUE;
}

/* Every page waits for them; after the first there is nothing to wait for. */
static void
set_at_least(CombRequestContext *context, char *const *positions)
{
    for (guint i = 0; positions != NULL && positions[i] != NULL; i++) {
        GByteArray *bytes = g_byte_array_new();
        g_byte_array_append(bytes, (const guint8 *)positions[i],
                            (guint)strlen(positions[i]));
        g_ptr_array_add(context->at_least, bytes);
        context->__isset_at_least = TRUE;
    }
}

static void
read_clear(Read *read)
{
    g_free(read->flags.cursor);
    g_strfreev(read->flags.at_least);
    g_clear_pointer(&read->router, peer_close);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Read, read_clear)

static gboolean
run_read(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    g_auto(Read)
        read = {.ctl = ctl, .command = command, .flags = {.limit = LIMIT_NONE}};

    if (!parse_flags(&read, argv, error)) {
        return FALSE;
    }
    read.router = peer_open_router(ctl, error);
    if (read.router == NULL) {
        return FALSE;
    }
    set_at_least(read.router->context, read.flags.at_least);
    return read_pages(&read, error);
}

const CtlCommand *
read_commands(void)
{
    static const CtlCommand commands[] = {
        {"dashboard", "USER", "read a user's dashboard", run_read,
         READ_DASHBOARD},
        {"timeline", "AUTHOR", "read an author's posts", run_read,
         READ_TIMELINE},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
