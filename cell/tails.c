/*
 * The life of an id in here. tails_deliver() walks its users forwards and
 * fetches ahead: the 32 bytes that describe a tail some users before they
 * are needed, the end of its block some fewer. Nearly always the id is newer
 * than the tail's last: its step is coded and stored as one word, or two. A
 * block that is full is exchanged for a larger one. A late id costs a decode
 * and a new run. What is sealed or removed leaves by tails_set().
 *
 * A change is: the sequence odd, the words and the fields, the sequence even.
 * The words and fields are stored with release, so none of them can be seen
 * before the odd sequence; the copier loads them with acquire and then looks
 * at the sequence again. It first makes sure that block and length belong
 * together, and only then follows the block.
 */
#include "cell/tails.h"

#include "cell/ids.h"
#include "ops/kit/ensure.h"

#include <string.h>

/* Tails and blocks fetched ahead of the one that is written. */
#define TAILS_AHEAD 24
#define TAILS_AHEAD_BLOCKS 10

typedef struct Tail {
    _Atomic guint32 seq;     /* odd: being changed */
    _Atomic ArenaRef block;  /* 0: none */
    gint64 last;             /* the newest id; 0: none */
    _Atomic guint16 used;    /* bytes of the run */
    _Atomic guint16 n;       /* ids of it */
    guint16 room;            /* bytes of the block */
    guint16 listed;          /* in Tails.due */
    _Atomic guint32 shrinks; /* how often ids have gone */
    guint32 unused;
} Tail;

G_STATIC_ASSERT(sizeof(Tail) == 32);

struct Tails {
    Span tails;    /* of Tail, by local user index */
    Span floors;   /* of gint64, likewise */
    guint32 users; /* of them, in use */
    guint ids_due;
    Arena arena;
    GArray *due; /* guint32 */
};

Tails *
tails_new(guint ids_due)
{
    Tails *tails = g_new0(Tails, 1);
    span_init(&tails->tails, (gsize)TAIL_USERS_MAX * sizeof(Tail));
    span_init(&tails->floors, (gsize)TAIL_USERS_MAX * sizeof(gint64));
    arena_init(&tails->arena, G_MAXSIZE);
    tails->ids_due = ids_due;
    tails->due = g_array_new(FALSE, FALSE, sizeof(guint32));
    return tails;
}

void
tails_free(Tails *tails)
{
    span_clear(&tails->tails);
    span_clear(&tails->floors);
    arena_clear(&tails->arena);
    g_array_unref(tails->due);
    g_free(tails);
}

void
tails_grow(Tails *tails, guint32 users)
{
    ensure(users <= TAIL_USERS_MAX);
    span_grow(&tails->tails, users * sizeof(Tail));
    span_grow(&tails->floors, users * sizeof(gint64));
    tails->users = MAX(tails->users, users);
}

gsize
tails_bytes(const Tails *tails)
{
    return tails->tails.used + tails->floors.used + tails->arena.taken;
}

gsize
tails_live_bytes(const Tails *tails)
{
    return tails->users * (sizeof(Tail) + sizeof(gint64)) + tails->arena.live;
}

void
tails_set_memory(Tails *tails, gsize bytes)
{
    gsize fixed = tails->tails.used + tails->floors.used;
    tails->arena.bytes_soft = bytes > fixed ? bytes - fixed : 0;
}

static inline Tail *
tails_at(const Tails *tails, guint32 user)
{
    return (Tail *)(gpointer)tails->tails.base + user;
}

static inline gint64 *
tails_floor_at(const Tails *tails, guint32 user)
{
    ensure(user < tails->users);
    return (gint64 *)(gpointer)tails->floors.base + user;
}

static inline guint
tail_used(const Tail *tail)
{
    return atomic_load_explicit(&tail->used, memory_order_relaxed);
}

static inline guint
tail_n(const Tail *tail)
{
    return atomic_load_explicit(&tail->n, memory_order_relaxed);
}

static inline ArenaRef
tail_block(const Tail *tail)
{
    return atomic_load_explicit(&tail->block, memory_order_relaxed);
}

/* ---- changing: between begin and end the tail is nobody else's ---- */

static inline guint32
tail_begin(Tail *tail)
{
    guint32 seq = atomic_load_explicit(&tail->seq, memory_order_relaxed);
    atomic_store_explicit(&tail->seq, seq + 1, memory_order_relaxed);
    return seq + 2;
}

static inline void
tail_end(Tail *tail, guint32 seq)
{
    atomic_store_explicit(&tail->seq, seq, memory_order_release);
}

static inline void
tail_describe(Tail *tail, guint n, guint used)
{
    atomic_store_explicit(&tail->used, (guint16)used, memory_order_release);
    atomic_store_explicit(&tail->n, (guint16)n, memory_order_release);
}

/* Up to 8 bytes of a run at byte @at. */
static inline void
words_put(_Atomic guint64 *words, guint at, guint64 bytes, guint n)
{
    guint shift = (at & 7) * 8;
    _Atomic guint64 *word = words + at / 8;
    guint64 keep = 0;
    if (shift != 0) {
        keep = atomic_load_explicit(word, memory_order_relaxed) &
               ((G_GUINT64_CONSTANT(1) << shift) - 1);
    }
    atomic_store_explicit(word, keep | bytes << shift, memory_order_release);
    if (shift + 8 * n > 64) {
        atomic_store_explicit(word + 1, bytes >> (64 - shift),
                              memory_order_release);
    }
}

static void
words_copy_in(_Atomic guint64 *words, const guint8 *run, guint bytes)
{
    for (guint at = 0; at < bytes; at += 8) {
        guint64 le = 0;
        memcpy(&le, run + at, MIN(bytes - at, 8));
        atomic_store_explicit(words + at / 8, GUINT64_FROM_LE(le),
                              memory_order_release);
    }
}

static void
words_copy_out(_Atomic guint64 *words, guint8 *run, guint bytes)
{
    for (guint at = 0; at < bytes; at += 8) {
        guint64 le = GUINT64_TO_LE(
            atomic_load_explicit(words + at / 8, memory_order_acquire));
        memcpy(run + at, &le, sizeof le);
    }
}

/* Exchange the block for one with room for @bytes; inside a change. The old
   one is given back: a copier that is still in it will notice. */
static void
tail_move(Tails *tails, Tail *tail, guint bytes)
{
    ArenaRef old = tail_block(tail);
    guint used = tail_used(tail);
    guint class;
    ArenaRef new = arena_alloc(&tails->arena, arena_class_for(bytes), &class);
    _Atomic guint64 *to = arena_words(&tails->arena, new);
    for (guint at = 0; at < used; at += 8) {
        guint64 word = atomic_load_explicit(
            arena_words(&tails->arena, old) + at / 8, memory_order_relaxed);
        atomic_store_explicit(to + at / 8, word, memory_order_release);
    }
    if (old != 0) {
        arena_free(&tails->arena, old, arena_class_for(tail->room));
    }
    atomic_store_explicit(&tail->block, new, memory_order_release);
    tail->room = (guint16)arena_class_bytes(class);
}

/* The common case: @id is newer than all of the tail. */
static inline void
tail_append(Tails *tails, Tail *tail, gint64 id)
{
    guint used = tail_used(tail);
    IdStep step = idrun_step(tail->last, id);
    guint32 seq = tail_begin(tail);
    if (G_UNLIKELY(used + step.n > tail->room)) {
        tail_move(tails, tail, used + step.n);
    }
    _Atomic guint64 *words = arena_words(&tails->arena, tail_block(tail));
    words_put(words, used, step.word, MIN(step.n, 8));
    if (G_UNLIKELY(step.n > 8)) {
        words_put(words, used + 8, step.rest, step.n - 8);
    }
    tail->last = id;
    tail_describe(tail, tail_n(tail) + 1, used + step.n);
    tail_end(tail, seq);
}

/* ---- the slow ways ---- */

/* A whole run, checked, in a tail's place. */
typedef struct NewTail {
    const guint8 *run;
    guint bytes;
    guint n;
    gint64 last;
    gboolean shrinks;
} NewTail;

static void
tail_replace(Tails *tails, Tail *tail, const NewTail *new)
{
    guint32 seq = tail_begin(tail);
    tail_describe(tail, 0, 0);
    if (new->n == 0 && tail_block(tail) != 0) {
        arena_free(&tails->arena, tail_block(tail),
                   arena_class_for(tail->room));
        atomic_store_explicit(&tail->block, 0, memory_order_release);
        tail->room = 0;
    } else if (new->n > 0 &&
               (tail->room == 0 ||
                arena_class_for(new->bytes) != arena_class_for(tail->room))) {
        tail_move(tails, tail, new->bytes);
    }
    words_copy_in(arena_words(&tails->arena, tail_block(tail)), new->run,
                  new->bytes);
    tail->last = new->last;
    tail_describe(tail, new->n, new->bytes);
    if (new->shrinks) {
        guint32 before =
            atomic_load_explicit(&tail->shrinks, memory_order_relaxed);
        atomic_store_explicit(&tail->shrinks, before + 1, memory_order_release);
    }
    tail_end(tail, seq);
}

void
tails_set(Tails *tails, guint32 user, const gint64 *ids, guint n,
          gboolean shrinks)
{
    guint8 run[TAIL_BYTES_MAX + IDRUN_STEP_BYTES_MAX];
    NewTail new = {.run = run, .n = n, .shrinks = shrinks};
    ensure(user < tails->users);
    for (guint i = 0; i < n; i++) {
        new.bytes += idrun_put(run + new.bytes, new.last, ids[i]);
        ensure(new.bytes <= TAIL_BYTES_MAX);
        new.last = ids[i];
    }
    tail_replace(tails, tails_at(tails, user), &new);
}

void
tails_drop(Tails *tails, guint32 user, guint n)
{
    guint8 old[TAIL_BYTES_MAX];
    guint8 run[TAIL_BYTES_MAX + IDRUN_STEP_BYTES_MAX];
    ensure(user < tails->users);
    Tail *tail = tails_at(tails, user);
    guint used = tail_used(tail);
    NewTail new = {.run = run, .n = tail_n(tail) - n, .shrinks = TRUE};
    ensure(n <= tail_n(tail));
    if (n == 0) {
        return;
    }
    if (new.n > 0) {
        /* The first that stays is a step from 0 now; the others are as they
           were. */
        IdCut cut;
        words_copy_out(arena_words(&tails->arena, tail_block(tail)), old, used);
        gboolean good = idrun_cut(old, used, n + 1, &cut);
        ensure(good);
        new.bytes = idrun_put(run, 0, cut.last);
        memcpy(run + new.bytes, old + cut.at, used - cut.at);
        new.bytes += (guint)(used - cut.at);
        new.last = tail->last;
    }
    tail_replace(tails, tail, &new);
}

/* An id that is not newer than all of the tail. */
static void
tails_deliver_late(Tails *tails, guint32 user, gint64 id)
{
    gint64 ids[TAIL_IDS_MAX + 1];
    if (id < *tails_floor_at(tails, user) ||
        tails_at(tails, user)->last == id) {
        return;
    }
    guint n = tails_get(tails, user, ids);
    gsize at = ids_lower_bound(ids, n, id);
    if (at < n && ids[at] == id) {
        return;
    }
    memmove(ids + at + 1, ids + at, (n - at) * sizeof *ids);
    ids[at] = id;
    tails_set(tails, user, ids, n + 1, FALSE);
}

static inline void
tails_fetch_block(const Tails *tails, const Tail *tail)
{
    gsize at = (gsize)tail_block(tail) * ARENA_UNIT_BYTES + tail_used(tail);
    __builtin_prefetch(tails->arena.span.base + at, 1);
}

void
tails_deliver(Tails *tails, const guint32 *users, guint n, gint64 id)
{
    for (guint i = 0; i < n; i++) {
        if (i + TAILS_AHEAD < n) {
            __builtin_prefetch(tails_at(tails, users[i + TAILS_AHEAD]), 1);
        }
        if (i + TAILS_AHEAD_BLOCKS < n) {
            tails_fetch_block(tails,
                              tails_at(tails, users[i + TAILS_AHEAD_BLOCKS]));
        }
        Tail *tail = tails_at(tails, users[i]);
        if (G_LIKELY(id > tail->last)) {
            tail_append(tails, tail, id);
        } else {
            tails_deliver_late(tails, users[i], id);
        }
        if (G_UNLIKELY(tail_n(tail) > tails->ids_due)) {
            ensure(tail_n(tail) < TAIL_IDS_MAX);
            tails_list(tails, users[i]);
        }
    }
}

guint
tails_get(const Tails *tails, guint32 user, gint64 ret_ids[TAIL_IDS_MAX])
{
    guint8 run[TAIL_BYTES_MAX];
    const Tail *tail = tails_at(tails, user);
    ensure(user < tails->users);
    guint used = tail_used(tail);
    words_copy_out(arena_words(&tails->arena, tail_block(tail)), run, used);
    gboolean good = idrun_decode(run, run + used, tail_n(tail), ret_ids);
    ensure(good);
    return tail_n(tail);
}

guint
tails_count(const Tails *tails, guint32 user)
{
    return tail_n(tails_at(tails, user));
}

gboolean
tails_load(Tails *tails, guint32 user, const guint8 *run, guint bytes, guint n)
{
    gint64 ids[TAIL_IDS_MAX];
    if (n > TAIL_IDS_MAX || bytes > TAIL_BYTES_MAX ||
        !idrun_decode(run, run + bytes, n, ids)) {
        return FALSE;
    }
    NewTail new = {run, bytes, n, n > 0 ? ids[n - 1] : 0, FALSE};
    ensure(user < tails->users);
    tail_replace(tails, tails_at(tails, user), &new);
    return TRUE;
}

gint64
tails_floor(const Tails *tails, guint32 user)
{
    return *tails_floor_at(tails, user);
}

void
tails_set_floor(Tails *tails, guint32 user, gint64 floor)
{
    gint64 *at = tails_floor_at(tails, user);
    *at = MAX(*at, floor);
}

/* ---- the users whose tails are due ---- */

void
tails_list(Tails *tails, guint32 user)
{
    Tail *tail = tails_at(tails, user);
    if (!tail->listed) {
        tail->listed = TRUE;
        g_array_append_val(tails->due, user);
    }
}

GArray *
tails_due(Tails *tails)
{
    return tails->due;
}

void
tails_unlist(Tails *tails, guint32 user)
{
    tails_at(tails, user)->listed = FALSE;
}

/* ---- readers ---- */

guint32
tails_shrinks(const Tails *tails, guint32 user)
{
    return atomic_load_explicit(&tails_at(tails, user)->shrinks,
                                memory_order_acquire);
}

/* One attempt; FALSE where the tail was changed meanwhile. */
static gboolean
tails_try_copy(const Tails *tails, const Tail *tail, TailCopy *copy)
{
    guint32 seq = atomic_load_explicit(&tail->seq, memory_order_acquire);
    ArenaRef block = atomic_load_explicit(&tail->block, memory_order_acquire);
    copy->bytes = atomic_load_explicit(&tail->used, memory_order_acquire);
    copy->n = atomic_load_explicit(&tail->n, memory_order_acquire);
    copy->shrinks = atomic_load_explicit(&tail->shrinks, memory_order_acquire);
    if ((seq & 1) != 0 ||
        atomic_load_explicit(&tail->seq, memory_order_acquire) != seq) {
        return FALSE;
    }
    words_copy_out(arena_words(&tails->arena, block), copy->run, copy->bytes);
    return atomic_load_explicit(&tail->seq, memory_order_acquire) == seq;
}

void
tails_copy(const Tails *tails, guint32 user, TailCopy *ret_copy)
{
    const Tail *tail = tails_at(tails, user);
    while (!tails_try_copy(tails, tail, ret_copy)) {
        /* A change takes well under a microsecond, unless its thread was
           put aside: let it run. */
        g_thread_yield();
    }
}
