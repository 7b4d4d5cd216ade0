/*
 * tails.h against a model: a sorted array of ids a user; and beside a writer,
 * where every copy must be a tail that was.
 */
#include "cell/ids.h"
#include "cell/tails.h"

#include <pthread.h>
#include <string.h>

#define USERS 50
#define IDS_DUE 600
/* A millisecond, in an id. */
#define MS ((gint64)1 << IDRUN_LOW_BITS)

typedef struct Fixture {
    Tails *tails;
    GRand *rand;
    GArray *model[USERS]; /* gint64, ascending */
    gint64 floor[USERS];
    guint32 shrinks[USERS];
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    guint32 seed = (guint32)g_test_rand_int_range(1, G_MAXINT32);
    g_test_message("seed %u", seed);
    fixture->rand = g_rand_new_with_seed(seed);
    fixture->tails = tails_new(IDS_DUE);
    tails_grow(fixture->tails, USERS);
    for (guint i = 0; i < USERS; i++) {
        fixture->model[i] = g_array_new(FALSE, FALSE, sizeof(gint64));
    }
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint i = 0; i < USERS; i++) {
        g_array_unref(fixture->model[i]);
    }
    tails_free(fixture->tails);
    g_rand_free(fixture->rand);
}

static gint64 *
model_ids(const Fixture *fixture, guint user)
{
    return (gint64 *)(gpointer)fixture->model[user]->data;
}

static void
model_add(Fixture *fixture, guint user, gint64 id)
{
    GArray *model = fixture->model[user];
    gsize at = ids_lower_bound(model_ids(fixture, user), model->len, id);
    gboolean there = at < model->len && g_array_index(model, gint64, at) == id;
    gint64 last =
        model->len > 0 ? g_array_index(model, gint64, model->len - 1) : 0;
    if (!there && (id >= fixture->floor[user] || id > last)) {
        g_array_insert_val(model, (guint)at, id);
    }
}

static void
check_ids(const Fixture *fixture, guint user, const gint64 *ids)
{
    for (guint i = 0; i < fixture->model[user]->len; i++) {
        g_assert_cmpint(ids[i], ==, model_ids(fixture, user)[i]);
    }
}

static void
check_user(const Fixture *fixture, guint user)
{
    const GArray *model = fixture->model[user];
    gint64 ids[TAIL_IDS_MAX];
    TailCopy copy;
    g_assert_cmpuint(tails_count(fixture->tails, user), ==, model->len);
    g_assert_cmpuint(tails_get(fixture->tails, user, ids), ==, model->len);
    check_ids(fixture, user, ids);
    tails_copy(fixture->tails, user, &copy);
    g_assert_cmpuint(copy.n, ==, model->len);
    g_assert_cmpuint(copy.shrinks, ==, fixture->shrinks[user]);
    g_assert_cmpuint(tails_shrinks(fixture->tails, user), ==, copy.shrinks);
    g_assert_true(idrun_decode(copy.run, copy.run + copy.bytes, copy.n, ids));
    check_ids(fixture, user, ids);
}

/* To some users in ascending order, as a fan-out does. */
static void
deliver(Fixture *fixture, gint64 id)
{
    guint32 users[USERS];
    guint n = 0;
    gint32 one_in = g_rand_int_range(fixture->rand, 1, 8);
    for (guint32 i = 0; i < USERS; i++) {
        if (g_rand_int_range(fixture->rand, 0, one_in) == 0) {
            users[n++] = i;
            model_add(fixture, i, id);
        }
    }
    tails_deliver(fixture->tails, users, n, id);
}

static void
replace(Fixture *fixture, guint user, guint from, gboolean shrinks)
{
    GArray *model = fixture->model[user];
    g_array_remove_range(model, 0, MIN(from, model->len));
    tails_set(fixture->tails, user, model_ids(fixture, user), model->len,
              shrinks);
    fixture->shrinks[user] += shrinks != FALSE;
}

/* Through the bytes of a copy, as a tail file has them. */
static void
load_again(Fixture *fixture, guint user)
{
    TailCopy copy;
    tails_copy(fixture->tails, user, &copy);
    tails_set(fixture->tails, user, NULL, 0, FALSE);
    g_assert_cmpuint(tails_count(fixture->tails, user), ==, 0);
    g_assert_true(
        tails_load(fixture->tails, user, copy.run, copy.bytes, copy.n));
}

static gint64
random_id(GRand *rand, gint64 *newest)
{
    gint32 what = g_rand_int_range(rand, 0, 10);
    if (what < 6) {
        *newest += g_rand_int_range(rand, 1, 100000) * MS;
    } else if (what < 8) {
        *newest += g_rand_int_range(rand, 0, 300);
    } else {
        gint64 back = g_rand_int_range(rand, 0, 1000000) * MS;
        return MAX(*newest - back, 1);
    }
    return MAX(*newest, 1);
}

static void
random_step(Fixture *fixture, gint64 *newest)
{
    GRand *rand = fixture->rand;
    guint user = (guint)g_rand_int_range(rand, 0, USERS);
    gint32 what = g_rand_int_range(rand, 0, 200);
    if (what == 0) {
        guint from = (guint)g_rand_int_range(rand, 0, 60);
        replace(fixture, user, from, from > 0 || what % 2 == 0);
    } else if (what == 1) {
        replace(fixture, user, G_MAXUINT, TRUE);
    } else if (what == 2) {
        load_again(fixture, user);
    } else if (what == 3) {
        gint64 back = g_rand_int_range(rand, 0, 2000000) * MS;
        gint64 floor = MAX(*newest - back, 0);
        tails_set_floor(fixture->tails, user, floor);
        fixture->floor[user] = MAX(fixture->floor[user], floor);
        g_assert_cmpint(tails_floor(fixture->tails, user), ==,
                        fixture->floor[user]);
    } else {
        deliver(fixture, random_id(rand, newest));
    }
    check_user(fixture, user);
}

/* New, late and repeated ids, ids below the floor, replaced, shortened and
   loaded tails: the tail is the set. */
static void
test_random(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 newest = 1000 * MS;
    for (guint i = 0; i < 2500; i++) {
        random_step(fixture, &newest);
    }
    for (guint user = 0; user < USERS; user++) {
        check_user(fixture, user);
    }
}

/* A tail grows through all sizes of blocks, of even and of odd steps, and
   shrinks again. */
static void
test_growth(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const gint64 steps[] = {1000 * MS, MS + 77777, 3600000 * MS + 1};
    for (guint32 user = 0; user < G_N_ELEMENTS(steps); user++) {
        gint64 id = 1;
        for (guint i = 0; i < 1500; i++) {
            id += steps[user];
            tails_deliver(fixture->tails, &user, 1, id);
            model_add(fixture, user, id);
            if (i % 37 == 0) {
                check_user(fixture, user);
            }
        }
        check_user(fixture, user);
        while (fixture->model[user]->len > 0) {
            replace(fixture, user, 93, TRUE);
            check_user(fixture, user);
        }
    }
}

/* Of what is late, only ids that the floor lets through are put in. */
static void
test_floor(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const gint64 late[] = {99 * MS, 100 * MS, 101 * MS};
    const guint32 user = 4;
    gint64 ids[TAIL_IDS_MAX];
    gint64 newest = 500 * MS;
    tails_deliver(fixture->tails, &user, 1, newest);
    tails_set_floor(fixture->tails, user, 100 * MS);
    tails_set_floor(fixture->tails, user, 50 * MS);
    g_assert_cmpint(tails_floor(fixture->tails, user), ==, 100 * MS);
    for (guint i = 0; i < G_N_ELEMENTS(late); i++) {
        tails_deliver(fixture->tails, &user, 1, late[i]);
    }
    g_assert_cmpuint(tails_get(fixture->tails, user, ids), ==, 3);
    g_assert_cmpint(ids[0], ==, 100 * MS);
    g_assert_cmpint(ids[2], ==, newest);
}

/* A tail that is longer than it may be is due, once, however often it grows;
   after it was taken off it can be due again. */
static void
test_due(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    const guint32 user = 7;
    GArray *due = tails_due(fixture->tails);
    for (gint64 i = 1; i <= IDS_DUE; i++) {
        tails_deliver(fixture->tails, &user, 1, i * MS);
    }
    g_assert_cmpuint(due->len, ==, 0);
    for (gint64 i = IDS_DUE + 1; i < IDS_DUE + 10; i++) {
        tails_deliver(fixture->tails, &user, 1, i * MS);
        g_assert_cmpuint(due->len, ==, 1);
        g_assert_cmpuint(g_array_index(due, guint32, 0), ==, user);
    }
    tails_list(fixture->tails, user);
    tails_list(fixture->tails, 3);
    tails_list(fixture->tails, 3);
    g_assert_cmpuint(due->len, ==, 2);
    g_assert_cmpuint(g_array_index(due, guint32, 1), ==, 3);
    g_array_set_size(due, 0);
    tails_unlist(fixture->tails, user);
    tails_unlist(fixture->tails, 3);
    tails_deliver(fixture->tails, &user, 1, (IDS_DUE + 10) * MS);
    g_assert_cmpuint(due->len, ==, 1);
    tails_unlist(fixture->tails, user);
}

/* Bytes that are no run of so many ids are refused and change nothing. */
static void
test_load_refuses(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const guint8 run[] = {0x02, 0x02, 0x03, 0x05, 0x80};
    g_autofree guint8 *big = g_malloc(TAIL_BYTES_MAX + 2);
    memset(big, 2, TAIL_BYTES_MAX + 2);
    Tails *tails = fixture->tails;
    g_assert_false(tails_load(tails, 0, run, 4, 2));
    g_assert_false(tails_load(tails, 0, run, 4, 4));
    g_assert_false(tails_load(tails, 0, run, 3, 3));
    g_assert_false(tails_load(tails, 0, run, 5, 3));
    g_assert_false(tails_load(tails, 0, run, 1, 0));
    g_assert_false(tails_load(tails, 0, (const guint8 *)"\0", 1, 1));
    g_assert_false(
        tails_load(tails, 0, big, TAIL_BYTES_MAX + 2, TAIL_BYTES_MAX + 2));
    g_assert_false(
        tails_load(tails, 0, big, TAIL_IDS_MAX + 1, TAIL_IDS_MAX + 1));
    check_user(fixture, 0);
    g_assert_true(tails_load(tails, 0, run, 0, 0));
    check_user(fixture, 0);
    g_assert_true(tails_load(tails, 0, run, 4, 3));
    g_assert_cmpuint(tails_count(tails, 0), ==, 3);
    g_assert_true(tails_load(tails, 1, big, TAIL_IDS_MAX, TAIL_IDS_MAX));
    g_assert_cmpuint(tails_count(tails, 1), ==, TAIL_IDS_MAX);
}

/* Memory in use goes back to where it began when all tails are empty; memory
   held is found again, and serves a second round. */
static void
test_memory(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    Tails *tails = fixture->tails;
    gsize live = tails_live_bytes(tails);
    gsize held = 0;
    for (guint round = 0; round < 3; round++) {
        gint64 newest = 1000 * MS;
        for (guint i = 0; i < 2000; i++) {
            deliver(fixture, newest += 500 * MS);
        }
        g_assert_cmpuint(tails_live_bytes(tails), >, live);
        g_assert_cmpuint(tails_bytes(tails), >=, tails_live_bytes(tails));
        for (guint user = 0; user < USERS; user++) {
            check_user(fixture, user);
            replace(fixture, user, G_MAXUINT, TRUE);
        }
        g_assert_cmpuint(tails_live_bytes(tails), ==, live);
        /* Rounds differ by who got how much, not by what there is in all. */
        g_assert_true(round == 0 || tails_bytes(tails) < held + held / 2);
        held = MAX(held, tails_bytes(tails));
    }
}

/* Tails are the same where memory is short and blocks are larger than asked
   for. */
static void
test_thrifty(Fixture *fixture, gconstpointer unused)
{
    gint64 newest = 1000 * MS;
    for (guint i = 0; i < 1500; i++) {
        deliver(fixture, newest += 5000 * MS);
    }
    gsize held = tails_bytes(fixture->tails);
    tails_set_memory(fixture->tails, held / 2);
    for (guint user = 0; user < USERS; user++) {
        replace(fixture, user, G_MAXUINT, TRUE);
    }
    for (gint64 i = 1; i <= 10; i++) {
        deliver(fixture, newest += 4000 * MS);
    }
    g_assert_cmpuint(tails_bytes(fixture->tails), ==, held);
    for (guint user = 0; user < USERS; user++) {
        check_user(fixture, user);
    }
    test_random(fixture, unused);
}

/* ---- beside a writer ---- */

#define SHARED_USERS 8
#define STRIDE (40 * MS)
#define READERS 2

typedef struct Shared {
    Tails *tails;
    _Atomic gboolean stop;
    _Atomic guint copies;
} Shared;

/* What the tail of a user can be: multiples of the stride, none left out, in
   its own residue; so a copy with a word of another's block is known. */
static void
check_copy(const TailCopy *copy, guint32 user, const TailCopy *before)
{
    gint64 ids[TAIL_IDS_MAX];
    gint64 was[TAIL_IDS_MAX];
    const guint8 *end = copy->run + copy->bytes;
    g_assert_true(idrun_decode(copy->run, end, copy->n, ids));
    for (guint i = 0; i < copy->n; i++) {
        g_assert_cmpint(ids[i] % STRIDE, ==, (user + 1) * 3 * MS);
        g_assert_cmpint(ids[i], ==, ids[0] + (gint64)i * STRIDE);
    }
    g_assert_cmpuint(copy->shrinks, >=, before->shrinks);
    if (copy->shrinks == before->shrinks && before->n > 0) {
        end = before->run + before->bytes;
        g_assert_true(idrun_decode(before->run, end, before->n, was));
        g_assert_cmpuint(copy->n, >=, before->n);
        g_assert_cmpint(ids[0], <=, was[0]);
        g_assert_cmpint(ids[copy->n - 1], >=, was[before->n - 1]);
    }
}

static gpointer
copy_on(gpointer user_data)
{
    Shared *shared = user_data;
    g_autofree TailCopy *before = g_new0(TailCopy, SHARED_USERS);
    g_autofree TailCopy *copy = g_new0(TailCopy, 1);
    for (guint32 i = 0; !atomic_load(&shared->stop); i++) {
        guint32 user = i % SHARED_USERS;
        guint32 shrinks = tails_shrinks(shared->tails, user);
        tails_copy(shared->tails, user, copy);
        g_assert_cmpuint(copy->shrinks, >=, shrinks);
        check_copy(copy, user, &before[user]);
        before[user] = *copy;
        atomic_fetch_add(&shared->copies, 1);
    }
    return NULL;
}

/* One change of one tail, which is [first, first + n) in strides. */
static void
write_step(Shared *shared, GRand *rand, guint32 user, guint *first, guint *n)
{
    gint64 ids[TAIL_IDS_MAX];
    gint64 own = (user + 1) * 3 * MS;
    gint32 what = g_rand_int_range(rand, 0, 100);
    if (what < 3 || *n > 700) {
        guint gone = (guint)g_rand_int_range(rand, 0, (gint32)*n + 1);
        guint all = tails_get(shared->tails, user, ids);
        g_assert_cmpuint(all, ==, *n);
        tails_set(shared->tails, user, ids + gone, all - gone, TRUE);
        *first += gone;
        *n -= gone;
    } else if (what < 6) {
        guint all = tails_get(shared->tails, user, ids);
        tails_set(shared->tails, user, ids, all, FALSE);
    } else if (what < 10 && *first > 1 && *n > 0) {
        --*first;
        ++*n;
        tails_deliver(shared->tails, &user, 1, *first * STRIDE + own);
    } else {
        gint64 id = (*first + *n) * STRIDE + own;
        ++*n;
        tails_deliver(shared->tails, &user, 1, id);
    }
}

/* Whatever the writer does - appends, late ids, replacements, shrinks, blocks
   that go from one tail to another - a copy is a tail that was, and later
   copies are later. */
static void
test_readers(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(1, G_MAXINT32);
    g_test_message("seed %u", seed);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    Shared shared = {.tails = tails_new(TAIL_IDS_MAX)};
    pthread_t threads[READERS];
    guint first[SHARED_USERS];
    guint n[SHARED_USERS] = {0};
    tails_grow(shared.tails, SHARED_USERS);
    tails_set_memory(shared.tails, 0);
    for (guint i = 0; i < SHARED_USERS; i++) {
        first[i] = 1000;
    }
    for (guint i = 0; i < READERS; i++) {
        g_assert_cmpint(pthread_create(&threads[i], NULL, copy_on, &shared), ==,
                        0);
    }
    for (guint i = 0; i < 300000 || atomic_load(&shared.copies) < 10000; i++) {
        guint32 user = (guint32)g_rand_int_range(rand, 0, SHARED_USERS);
        write_step(&shared, rand, user, &first[user], &n[user]);
    }
    atomic_store(&shared.stop, TRUE);
    for (guint i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    tails_free(shared.tails);
}

#define ADD(name, func)                                                        \
    g_test_add("/tails/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("random", test_random);
    ADD("growth", test_growth);
    ADD("floor", test_floor);
    ADD("due", test_due);
    ADD("load-refuses", test_load_refuses);
    ADD("memory", test_memory);
    ADD("thrifty", test_thrifty);
    g_test_add_func("/tails/readers", test_readers);
    return g_test_run();
}
