/*
 * fanout.h: posts into tails, whole or by slices between batches, over a real
 * state; and what a reader's cut shows meanwhile.
 */
#include "cell/cut.h"
#include "cell/fanout.h"
#include "cell/ids.h"
#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"

#define USERS 100
#define SLICE 20
#define PARTITIONS 2
#define SMALL_AUTHOR 5000
#define BIG_AUTHOR 5001
#define OTHER_AUTHOR 5002

typedef struct Fixture {
    char *dir;
    State *state;
    Fanout *fanout;
    KillPoints *kill;
    gboolean dying; /* at the next slice */
} Fixture;

static gboolean
die_at_slice(KillPoint point, gpointer user_data)
{
    const Fixture *fixture = user_data;
    return fixture->dying && point == KILL_FANOUT;
}

/* @user follows @author. */
static void
follow(Fixture *fixture, gint64 author, guint32 user)
{
    Followers *followers = fixture->state->followers;
    followers_add(followers, followers_author(followers, (UserId){author}),
                  user);
}

static void
unfollow(Fixture *fixture, gint64 author, guint32 user)
{
    Followers *followers = fixture->state->followers;
    followers_remove(followers, followers_author(followers, (UserId){author}),
                     user);
}

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const InboxTuning tuning = {1000, 6, 10, 1000, SLICE, 4096};
    guint64 next[PARTITIONS];
    g_autoptr(GError) error = NULL;
    fixture->dir = tmpdir_new();
    fixture->kill = killpoints_simulated(die_at_slice, fixture);
    StateOptions options = {.dir = fixture->dir,
                            .identity = {0, "test", PARTITIONS},
                            .tuning = &tuning,
                            .kill = fixture->kill};
    fixture->state = state_open(&options, next, &error);
    g_assert_no_error(error);
    fixture->fanout = fanout_new(fixture->state);
    for (guint32 i = 0; i < USERS; i++) {
        g_assert_cmpuint(
            inbox_add_user(fixture->state->inbox, (UserId){100 + i}), ==, i);
        follow(fixture, BIG_AUTHOR, i);
        if (i < SLICE) {
            follow(fixture, SMALL_AUTHOR, i);
        }
    }
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fanout_free(fixture->fanout);
    state_close(fixture->state);
    killpoints_free(fixture->kill);
    tmpdir_free(fixture->dir);
}

static void
start(Fixture *fixture, gint64 author, gint64 post, guint64 offset)
{
    FanoutPost fan = {{author}, {post}, (guint)offset % PARTITIONS, offset};
    fanout_start(fixture->fanout, &fan);
}

static void
slice(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(fanout_slice(fixture->fanout, &error));
    g_assert_no_error(error);
}

/* Go on to the end; how many slices it took. */
static guint
finish(Fixture *fixture)
{
    guint slices = 0;
    for (; fanout_pending(fixture->fanout) > 0; slices++) {
        slice(fixture);
    }
    return slices;
}

static gboolean
in_tail(Fixture *fixture, guint32 user, gint64 post)
{
    gint64 ids[TAIL_IDS_MAX];
    guint n = tails_get(inbox_tails(fixture->state->inbox), user, ids);
    gsize at = ids_lower_bound(ids, n, post);
    return at < n && ids[at] == post;
}

/* In how many tails of users [from, to) the post is. */
static guint
count_tails(Fixture *fixture, gint64 post, guint32 from, guint32 to)
{
    guint n = 0;
    for (guint32 user = from; user < to; user++) {
        n += in_tail(fixture, user, post) ? 1 : 0;
    }
    return n;
}

static guint
deliveries(Fixture *fixture)
{
    guint n = 0;
    for (guint32 user = 0; user < USERS; user++) {
        n += tails_count(inbox_tails(fixture->state->inbox), user);
    }
    return n;
}

static guint
pending_posts(Fixture *fixture)
{
    gint64 posts[PENDING_MAX];
    return pending_read(&fixture->state->pending, posts);
}

/* Whether a reader who comes now looks at the post, exactly once. */
static gboolean
in_cut(Fixture *fixture, guint32 user, gint64 post)
{
    g_auto(Cut) cut = {0};
    guint n = 0;
    cut_open(fixture->state, (UserId){100 + user}, &cut);
    for (gsize i = 0; i < cut.n_ids; i++) {
        g_assert_true(i == 0 || cut.ids[i - 1] < cut.ids[i]);
        n += cut.ids[i] == post;
    }
    g_assert_cmpuint(n, <=, 1);
    return n == 1;
}

/* A post with a slice's followers or less is in all tails at once, and never
   pending; nobody else has it. */
static void
test_small(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    start(fixture, SMALL_AUTHOR, 10, 0);
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, 0);
    g_assert_cmpuint(pending_posts(fixture), ==, 0);
    g_assert_cmpuint(count_tails(fixture, 10, 0, SLICE), ==, SLICE);
    g_assert_cmpuint(deliveries(fixture), ==, SLICE);
}

/* A post of an author whom nobody here follows goes nowhere. */
static void
test_nobody(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    start(fixture, 9999, 10, 0);
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, 0);
    g_assert_cmpuint(deliveries(fixture), ==, 0);
    g_assert_cmpuint(followers_find(fixture->state->followers, (UserId){9999}),
                     ==, IDMAP_NONE);
}

/* With more followers it is pending, in nobody's tail and in everybody's cut,
   and each slice brings it to so many more. */
static void
test_slices(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    start(fixture, BIG_AUTHOR, 10, 0);
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, 1);
    g_assert_cmpuint(deliveries(fixture), ==, 0);
    for (guint done = SLICE; done <= USERS; done += SLICE) {
        for (guint32 user = 0; user < USERS; user++) {
            g_assert_true(in_cut(fixture, user, 10));
        }
        g_assert_cmpuint(pending_posts(fixture), ==, 1);
        slice(fixture);
        g_assert_cmpuint(count_tails(fixture, 10, 0, done), ==, done);
        g_assert_cmpuint(deliveries(fixture), ==, done);
    }
    finish(fixture);
    g_assert_cmpuint(pending_posts(fixture), ==, 0);
    g_assert_cmpuint(deliveries(fixture), ==, USERS);
    for (guint32 user = 0; user < USERS; user++) {
        g_assert_true(in_cut(fixture, user, 10));
    }
}

/* Small authors' posts overtake; each tail has both in order of id. */
static void
test_overtaken(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    start(fixture, BIG_AUTHOR, 10, 0);
    slice(fixture);
    start(fixture, SMALL_AUTHOR, 20, 1);
    start(fixture, SMALL_AUTHOR, 5, 2);
    g_assert_cmpuint(count_tails(fixture, 20, 0, SLICE), ==, SLICE);
    finish(fixture);
    g_assert_cmpuint(count_tails(fixture, 10, 0, USERS), ==, USERS);
    g_assert_cmpuint(deliveries(fixture), ==, USERS + 2 * SLICE);
}

/* A slice goes on with the next post where one has ended, and so many are
   delivered a slice, whoever's they are. */
static void
test_several(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint32 user = 0; user < SLICE + 5; user++) {
        follow(fixture, OTHER_AUTHOR, user);
    }
    start(fixture, OTHER_AUTHOR, 10, 0);
    start(fixture, BIG_AUTHOR, 20, 1);
    slice(fixture);
    g_assert_cmpuint(deliveries(fixture), ==, SLICE);
    slice(fixture);
    g_assert_cmpuint(deliveries(fixture), ==, 2 * SLICE);
    g_assert_cmpuint(count_tails(fixture, 10, 0, USERS), ==, SLICE + 5);
    g_assert_cmpuint(count_tails(fixture, 20, 0, USERS), ==, SLICE - 5);
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, 1);
    finish(fixture);
    g_assert_cmpuint(deliveries(fixture), ==, SLICE + 5 + USERS);
}

/* A replay begins at the oldest pending post of each partition; where none is
   pending, where it would. */
static void
test_hold_back(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    guint64 next[PARTITIONS] = {1000, 2000};
    fanout_hold_back(fixture->fanout, next);
    g_assert_cmpuint(next[0], ==, 1000);
    start(fixture, BIG_AUTHOR, 10, 100);
    start(fixture, BIG_AUTHOR, 30, 300);
    start(fixture, BIG_AUTHOR, 20, 201);
    start(fixture, SMALL_AUTHOR, 5, 50);
    fanout_hold_back(fixture->fanout, next);
    g_assert_cmpuint(next[0], ==, 100);
    g_assert_cmpuint(next[1], ==, 201);
    /* What is lower already stays. */
    next[1] = 150;
    fanout_hold_back(fixture->fanout, next);
    g_assert_cmpuint(next[1], ==, 150);
    /* A first one that is nearly done holds as one that is not begun. */
    slice(fixture);
    next[0] = 1000;
    fanout_hold_back(fixture->fanout, next);
    g_assert_cmpuint(next[0], ==, 100);
    finish(fixture);
    next[0] = 1000;
    fanout_hold_back(fixture->fanout, next);
    g_assert_cmpuint(next[0], ==, 1000);
}

/* Where as many are pending as can be, the next one goes out whole, before
   those that wait; they lose nothing. */
static void
test_full(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (gint64 i = 1; i <= PENDING_MAX; i++) {
        start(fixture, BIG_AUTHOR, i, (guint64)i);
    }
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, PENDING_MAX);
    g_assert_cmpuint(deliveries(fixture), ==, 0);
    start(fixture, BIG_AUTHOR, 500, 500);
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, PENDING_MAX);
    g_assert_cmpuint(count_tails(fixture, 500, 0, USERS), ==, USERS);
    g_assert_true(in_cut(fixture, USERS - 1, 1));
    finish(fixture);
    g_assert_cmpuint(pending_posts(fixture), ==, 0);
    g_assert_cmpuint(deliveries(fixture), ==, USERS * (PENDING_MAX + 1));
}

/* Who follows all the while gets the post once, whoever else comes and goes
   between the slices: before the place reached, and after it. */
static void
test_changes(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint32 user = 30; user < USERS; user += 10) {
        unfollow(fixture, BIG_AUTHOR, user);
    }
    start(fixture, BIG_AUTHOR, 10, 0);
    slice(fixture);
    unfollow(fixture, BIG_AUTHOR, 3);
    unfollow(fixture, BIG_AUTHOR, 19);
    unfollow(fixture, BIG_AUTHOR, 45);
    follow(fixture, BIG_AUTHOR, 50);
    slice(fixture);
    follow(fixture, BIG_AUTHOR, 3);
    follow(fixture, BIG_AUTHOR, 30);
    unfollow(fixture, BIG_AUTHOR, 99);
    finish(fixture);
    for (guint32 user = 0; user < USERS; user++) {
        gboolean late = user >= 30 && user % 10 == 0;
        if (!late && user != 45 && user != 99) {
            g_assert_true(in_tail(fixture, user, 10));
        }
        g_assert_cmpuint(tails_count(inbox_tails(fixture->state->inbox), user),
                         <=, 1);
    }
    g_assert_true(in_tail(fixture, 50, 10));
    g_assert_false(in_tail(fixture, 45, 10));
    g_assert_false(in_tail(fixture, 99, 10));
    g_assert_false(in_tail(fixture, 60, 10));
}

/* Large sets of followers, read in several runs a slice, all get it. */
static void
test_large(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    const guint32 users = 20000;
    for (guint32 i = USERS; i < users; i++) {
        inbox_add_user(fixture->state->inbox, (UserId){100 + i});
    }
    for (guint32 i = 0; i < users; i += 2) {
        follow(fixture, OTHER_AUTHOR, i);
    }
    start(fixture, OTHER_AUTHOR, 77, 0);
    guint slices = finish(fixture);
    g_assert_cmpuint(slices, >=, users / 2 / SLICE);
    g_assert_cmpuint(slices, <=, users / 2 / SLICE + 1);
    g_assert_cmpuint(count_tails(fixture, 77, 0, users), ==, users / 2);
    g_assert_cmpint(
        atomic_load(&fixture->state->metrics[METRIC_DELIVERIES].value), ==,
        users / 2);
}

/* A repeated event is a second fan-out: pending until the last of them is
   through, once in each tail. */
static void
test_repeated(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    start(fixture, BIG_AUTHOR, 10, 0);
    start(fixture, BIG_AUTHOR, 10, 2);
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, 2);
    while (fanout_pending(fixture->fanout) == 2) {
        slice(fixture);
    }
    g_assert_cmpuint(pending_posts(fixture), ==, 1);
    g_assert_true(in_cut(fixture, 99, 10));
    finish(fixture);
    g_assert_cmpuint(pending_posts(fixture), ==, 0);
    g_assert_cmpuint(deliveries(fixture), ==, USERS);
}

/* A death in a slice is an error, and the post stays pending. */
static void
test_killed(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GError) error = NULL;
    start(fixture, BIG_AUTHOR, 10, 0);
    slice(fixture);
    fixture->dying = TRUE;
    g_assert_false(fanout_slice(fixture->fanout, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_assert_cmpuint(fanout_pending(fixture->fanout), ==, 1);
    g_assert_cmpuint(pending_posts(fixture), ==, 1);
}

#define ADD(name, func)                                                        \
    g_test_add("/fanout/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("small", test_small);
    ADD("nobody", test_nobody);
    ADD("slices", test_slices);
    ADD("overtaken", test_overtaken);
    ADD("several", test_several);
    ADD("hold-back", test_hold_back);
    ADD("full", test_full);
    ADD("changes", test_changes);
    ADD("large", test_large);
    ADD("repeated", test_repeated);
    ADD("killed", test_killed);
    return g_test_run();
}
