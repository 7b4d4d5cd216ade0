/*
 * B4. The longest inboxes of the world, read at the top and at page 500 (or
 * the deepest whole page where there are fewer); and a page of median readers
 * whose windows have been emptied, so that it is merged from the timelines of
 * those they follow. Cold: the first read of each place in a process that has
 * just opened the cell, with the files out of the page cache. Warm: the median
 * of more reads of the same.
 *
 * The cursors are known from the world, so reaching a place warms nothing.
 */
#include "tests/bench/bench.h"

#include "tests/bench/pages.h"
#include "tests/bench/sample.h"
#include "tests/bench/usage.h"
#include "thrift/limits.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INBOXES 20
#define MEDIAN_FOLLOWS 60
#define DEEP_PAGE 500
#define WARM_READS 50

typedef struct Place {
    const char *name;
    guint page; /* 1 is the newest */
} Place;

static const Place places[] = {{"page1", 1}, {"page500", DEEP_PAGE}};

/* By user, how many posts the fill has for it. Owns: the caller frees. */
static guint32 *
count_entries(const Bench *bench)
{
    const World *world = bench->world;
    guint32 *n = g_new0(guint32, world->header->users);
    g_autoptr(Stream) stream = stream_new(world);
    for (guint64 i = 0; i < bench->plan.fill_posts; i++) {
        StreamPost post = stream_next(stream);
        gsize n_followers;
        const guint32 *followers =
            world_followers(world, post.author, &n_followers);
        for (gsize k = 0; k < n_followers; k++) {
            n[followers[k]]++;
        }
    }
    return n;
}

/* The users with the longest inboxes; @n is used up. */
static void
find_longest(const Bench *bench, guint32 *n, guint32 users[INBOXES])
{
    const World *world = bench->world;
    for (guint i = 0; i < INBOXES; i++) {
        guint32 longest = 0;
        for (guint32 user = 1; user < world->header->users; user++) {
            longest = n[user] > n[longest] ? user : longest;
        }
        users[i] = longest;
        n[longest] = 0;
    }
}

/* Readers who follow about as many as the median one does, and have two whole
   pages. */
static void
find_median(const Bench *bench, const guint32 *n, guint32 users[INBOXES])
{
    const World *world = bench->world;
    guint found = 0;
    for (guint32 user = 0; user < world->header->users && found < INBOXES;
         user++) {
        gsize follows;
        world_follows(world, user, &follows);
        if (follows >= MEDIAN_FOLLOWS - 5 && follows <= MEDIAN_FOLLOWS + 5 &&
            n[user] >= 2 * PAGE_LIMIT_DEFAULT) {
            users[found++] = user;
        }
    }
    if (found < INBOXES) {
        fprintf(stderr, "comb-bench-cell: too few median readers\n");
        exit(EXIT_FAILURE);
    }
}

/* Raise the readers' floors over all their posts: every page of theirs is below
   the window then, as a page of years ago is. Before anything is applied. */
static void
empty_windows(const Bench *bench, State *state, const guint32 *users)
{
    g_autoptr(GError) error = NULL;
    StoreBatch *batch = store_batch_new(state->store);
    for (guint i = 0; i < INBOXES; i++) {
        InboxNews news = {.floor = G_MAXINT64};
        UserId user = world_user_id(bench->world, users[i]);
        if (!inbox_insert(state->inbox, batch, inbox_find(state->inbox, user),
                          &news, &error)) {
            g_error("%s", error->message);
        }
    }
    if (!state_commit(state, batch, &error)) {
        g_error("%s", error->message);
    }
    inbox_inserted(state->inbox);
    store_batch_free(batch);
}

/* What is on disk of @path leaves the page cache. */
static void
forget_files(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        if (g_file_test(file, G_FILE_TEST_IS_DIR)) {
            forget_files(file);
            continue;
        }
        int fd = g_open(file, O_RDONLY | O_CLOEXEC, 0);
        if (fd >= 0) {
            (void)fdatasync(fd);
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            close(fd);
        }
    }
}

/* The id from which @place of an inbox of @ids, ascending, is asked. */
static gint64
place_from(const Place *place, const GArray *ids)
{
    guint pages = ids->len / PAGE_LIMIT_DEFAULT;
    guint page = MIN(place->page, pages);
    if (page <= 1) {
        return G_MAXINT64;
    }
    return g_array_index(ids, gint64,
                         ids->len - (page - 1) * PAGE_LIMIT_DEFAULT);
}

static double
read_once(Pages *pages, UserId user, gint64 from)
{
    double begin = usage_now_us();
    pages_read(pages, user, from, PAGE_LIMIT_DEFAULT);
    double took = usage_now_us() - begin;
    pages_ids(pages, user);
    if (pages->ids->len != PAGE_LIMIT_DEFAULT) {
        fprintf(stderr,
                "comb-bench-cell: a page of %u at %" G_GINT64_FORMAT
                " of user %" G_GINT64_FORMAT "\n",
                pages->ids->len, from, user.v);
        exit(EXIT_FAILURE);
    }
    return took;
}

static double
median_of(double *values, gsize n)
{
    usage_sort(values, n);
    return usage_percentile(values, n, 50);
}

static void
measure_place(const Bench *bench, Pages *pages, const guint32 *users,
              GPtrArray *inboxes, const Place *place)
{
    double cold[INBOXES];
    double warm[INBOXES];
    double reads[WARM_READS];
    for (guint i = 0; i < INBOXES; i++) {
        UserId user = world_user_id(bench->world, users[i]);
        gint64 from = place_from(place, g_ptr_array_index(inboxes, i));
        cold[i] = read_once(pages, user, from);
        for (guint k = 0; k < WARM_READS; k++) {
            reads[k] = read_once(pages, user, from);
        }
        warm[i] = median_of(reads, WARM_READS);
    }
    printf("\"%s_cold_us\":%.1f,\"%s_warm_us\":%.1f,", place->name,
           median_of(cold, INBOXES), place->name, median_of(warm, INBOXES));
    printf("\"%s_cold_max_us\":%.1f,", place->name, cold[INBOXES - 1]);
}

/* The first page of readers whose windows are empty. */
static void
measure_below(const Bench *bench, Pages *pages, const guint32 *users)
{
    double cold[INBOXES];
    double warm[INBOXES];
    double reads[WARM_READS];
    for (guint i = 0; i < INBOXES; i++) {
        UserId user = world_user_id(bench->world, users[i]);
        cold[i] = read_once(pages, user, G_MAXINT64 - 1);
        for (guint k = 0; k < WARM_READS; k++) {
            reads[k] = read_once(pages, user, G_MAXINT64 - 1);
        }
        warm[i] = median_of(reads, WARM_READS);
    }
    printf("\"below_cold_us\":%.1f,\"below_warm_us\":%.1f,",
           median_of(cold, INBOXES), median_of(warm, INBOXES));
}

int
bench_deep(const Bench *bench)
{
    guint32 users[INBOXES];
    guint32 medians[INBOXES];
    g_autofree guint32 *n = count_entries(bench);
    find_median(bench, n, medians);
    find_longest(bench, n, users);
    g_autoptr(GPtrArray) inboxes =
        sample_inboxes(bench->world, users, INBOXES, 0, bench->plan.fill_posts);
    forget_files(bench->cell);
    Rig *rig = bench_rig(bench, bench_end_of_fill(bench));
    empty_windows(bench, rig->state, medians);
    rig_start(rig);
    while (!atomic_load(&rig->state->ready)) {
        g_usleep(1000);
    }
    forget_files(bench->cell);
    Pages pages;
    pages_init(&pages, rig->state);
    printf("{");
    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        measure_place(bench, &pages, users, inboxes, &places[i]);
    }
    measure_below(bench, &pages, medians);
    const GArray *longest = g_ptr_array_index(inboxes, 0);
    const GArray *shortest = g_ptr_array_index(inboxes, INBOXES - 1);
    printf("\"longest\":%u,\"shortest\":%u,\"rss\":%" G_GUINT64_FORMAT "}\n",
           longest->len, shortest->len, usage_status("VmHWM:"));
    pages_clear(&pages);
    rig_close(rig);
    return 0;
}
