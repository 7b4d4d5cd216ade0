/*
 * Most authors have few followers and most followers have few authors, so a
 * set is as small as it can be: up to 2 users lie in the author's own 16
 * bytes, up to 4,096 in a sorted array, more in a CRoaring bitmap. A bitmap
 * turns back into an array at 2,048, so that an author at the border does not
 * go to and fro. Arrays grow by a quarter, to sizes that fill the allocator's
 * blocks of 16 bytes less an 8-byte header.
 *
 * Authors are numbered by an IdMap, their sets lie by number in segments that
 * never move: nothing here ever copies all of anything. Nothing is durable:
 * the edge rows are, and apply keeps both in step.
 */
#include "cell/followers.h"

#include "ops/kit/ensure.h"

#include <roaring/roaring.h>
#include <string.h>

#define FEW_MAX 2u
#define ARRAY_MAX 4096u
#define BITMAP_MIN 2048u
#define SEGMENT_SETS 4096u
/* What malloc() adds to a block. */
#define BLOCK_BYTES 8u
/* Authors that followers_add_many() looks up together. */
#define MANY 64u
/* So many changes of a bitmap until its memory is looked at again. */
#define MEASURE_CHANGES 1024u

typedef enum FollowersShape {
    SHAPE_FEW, /* zeroed memory is an empty set of this shape */
    SHAPE_ARRAY,
    SHAPE_BITMAP,
} FollowersShape;

typedef struct FollowersBitmap {
    roaring_bitmap_t *users; /* owned */
    gsize bytes;             /* held, when last looked at */
    guint changes;           /* since then */
} FollowersBitmap;

typedef struct FollowersSet {
    union {
        guint32 few[FEW_MAX];
        guint32 *array;          /* owned */
        FollowersBitmap *bitmap; /* owned */
    } in;                        /* by shape; users ascending */
    guint32 n;                   /* users in the set */
    guint16 capacity;            /* SHAPE_ARRAY: users there is room for */
    guint8 shape;                /* FollowersShape */
    guint8 posts;                /* FollowersPosts; the caller's */
} FollowersSet;

G_STATIC_ASSERT(sizeof(FollowersSet) == 16);

struct Followers {
    IdMap *authors;      /* author id -> index */
    GPtrArray *segments; /* sets by the author's index, SEGMENT_SETS each */
    guint64 edges;       /* in all sets */
    gsize bytes;         /* of segments and sets */
};

static void
set_bitmap_free(FollowersBitmap *bitmap)
{
    roaring_bitmap_free(bitmap->users);
    g_free(bitmap);
}

static void
followers_segment_free(gpointer segment)
{
    FollowersSet *sets = segment;
    for (guint i = 0; i < SEGMENT_SETS; i++) {
        if (sets[i].shape == SHAPE_ARRAY) {
            g_free(sets[i].in.array);
        } else if (sets[i].shape == SHAPE_BITMAP) {
            set_bitmap_free(sets[i].in.bitmap);
        }
    }
    g_free(sets);
}

Followers *
followers_new(void)
{
    Followers *followers = g_new0(Followers, 1);
    followers->authors = idmap_new();
    followers->segments =
        g_ptr_array_new_with_free_func(followers_segment_free);
    return followers;
}

void
followers_free(Followers *followers)
{
    g_ptr_array_unref(followers->segments);
    idmap_free(followers->authors);
    g_free(followers);
}

guint32
followers_author(Followers *followers, UserId author)
{
    guint32 index = idmap_add(followers->authors, author.v);
    if (index / SEGMENT_SETS == followers->segments->len) {
        g_ptr_array_add(followers->segments,
                        g_new0(FollowersSet, SEGMENT_SETS));
        followers->bytes += SEGMENT_SETS * sizeof(FollowersSet) + BLOCK_BYTES;
    }
    return index;
}

guint32
followers_find(const Followers *followers, UserId author)
{
    return idmap_find(followers->authors, author.v);
}

static FollowersSet *
followers_set(const Followers *followers, guint32 author)
{
    ensure(author < idmap_count(followers->authors));
    FollowersSet *sets =
        g_ptr_array_index(followers->segments, author / SEGMENT_SETS);
    return &sets[author % SEGMENT_SETS];
}

/* ---- few, and arrays ---- */

static const guint32 *
set_users(const FollowersSet *set)
{
    return set->shape == SHAPE_FEW ? set->in.few : set->in.array;
}

static guint
set_capacity(const FollowersSet *set)
{
    return set->shape == SHAPE_FEW ? FEW_MAX : set->capacity;
}

/* The place of the first user that is not below @user. */
static guint
set_lower_bound(const FollowersSet *set, guint32 user)
{
    const guint32 *users = set_users(set);
    if (set->n == 0 || users[set->n - 1] < user) {
        return set->n;
    }
    guint low = 0;
    guint high = set->n - 1;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (users[middle] < user) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Room for @n users and about a quarter more: 2, or 6, 10, 14, ... */
static guint
set_room(guint n)
{
    guint room = n + n / 4;
    return n <= FEW_MAX ? FEW_MAX : MIN((room + 1) / 4 * 4 + 2, ARRAY_MAX);
}

static gsize
set_array_bytes(guint capacity)
{
    return capacity * sizeof(guint32) + BLOCK_BYTES;
}

static void
set_to_array(Followers *followers, FollowersSet *set, guint capacity)
{
    guint32 *array = g_new(guint32, capacity);
    memcpy(array, set->in.few, set->n * sizeof *array);
    set->in.array = array;
    set->shape = SHAPE_ARRAY;
    set->capacity = (guint16)capacity;
    followers->bytes += set_array_bytes(capacity);
}

static void
set_to_few(Followers *followers, FollowersSet *set)
{
    g_autofree guint32 *array = set->in.array;
    memcpy(set->in.few, array, set->n * sizeof *array);
    set->shape = SHAPE_FEW;
    followers->bytes -= set_array_bytes(set->capacity);
}

static void
set_resize(Followers *followers, FollowersSet *set, guint capacity)
{
    if (set->shape == SHAPE_FEW) {
        set_to_array(followers, set, capacity);
    } else if (capacity == FEW_MAX) {
        set_to_few(followers, set);
    } else {
        set->in.array = g_renew(guint32, set->in.array, capacity);
        followers->bytes += set_array_bytes(capacity);
        followers->bytes -= set_array_bytes(set->capacity);
        set->capacity = (guint16)capacity;
    }
}

static void
set_insert(Followers *followers, FollowersSet *set, guint at, guint32 user)
{
    if (set->n == set_capacity(set)) {
        set_resize(followers, set, set_room(set->n + 1));
    }
    guint32 *users = set->shape == SHAPE_FEW ? set->in.few : set->in.array;
    memmove(&users[at + 1], &users[at], (set->n - at) * sizeof *users);
    users[at] = user;
}

/* The count still includes the user at @at. */
static void
set_erase(Followers *followers, FollowersSet *set, guint at)
{
    guint32 *users = set->shape == SHAPE_FEW ? set->in.few : set->in.array;
    set->n--;
    memmove(&users[at], &users[at + 1], (set->n - at) * sizeof *users);
    if (set->shape == SHAPE_ARRAY && set->n < set->capacity / 2u) {
        set_resize(followers, set, set_room(set->n));
    }
}

/* ---- bitmaps ---- */

/* CRoaring has no function that says so: its statistics walk all values, and
   its sizes are those of the serialised form. No runs: nothing here makes
   them. */
static gsize
set_bitmap_measure(const FollowersBitmap *bitmap)
{
    const roaring_array_t *all = &bitmap->users->high_low_container;
    gsize bytes = sizeof *bitmap + sizeof *bitmap->users + 3 * BLOCK_BYTES +
                  (gsize)all->allocation_size *
                      (sizeof *all->containers + sizeof *all->keys +
                       sizeof *all->typecodes);
    for (gint32 i = 0; i < all->size; i++) {
        bytes += 2 * BLOCK_BYTES;
        if (all->typecodes[i] == ARRAY_CONTAINER_TYPE_CODE) {
            const array_container_t *array = all->containers[i];
            bytes +=
                sizeof *array + (gsize)array->capacity * sizeof *array->array;
        } else {
            bytes += sizeof(bitset_container_t) +
                     BITSET_CONTAINER_SIZE_IN_WORDS * sizeof(guint64);
        }
    }
    return bytes;
}

/* One user more or less; of its memory now and then. */
static void
set_bitmap_changed(Followers *followers, FollowersBitmap *bitmap)
{
    if (++bitmap->changes == MEASURE_CHANGES) {
        followers->bytes -= bitmap->bytes;
        bitmap->bytes = set_bitmap_measure(bitmap);
        followers->bytes += bitmap->bytes;
        bitmap->changes = 0;
    }
}

static guint
set_bitmap_read(const FollowersBitmap *bitmap, guint32 from, guint32 *ret_users,
                guint max)
{
    roaring_uint32_iterator_t iter;
    roaring_init_iterator(bitmap->users, &iter);
    if (from > 0) {
        roaring_move_uint32_iterator_equalorlarger(&iter, from);
    }
    return roaring_read_uint32_iterator(&iter, ret_users, max);
}

static void
set_to_bitmap(Followers *followers, FollowersSet *set)
{
    FollowersBitmap *bitmap = g_new0(FollowersBitmap, 1);
    bitmap->users = roaring_bitmap_of_ptr(set->n, set->in.array);
    ensure(bitmap->users != NULL);
    followers->bytes -= set_array_bytes(set->capacity);
    g_free(set->in.array);
    set->in.bitmap = bitmap;
    set->shape = SHAPE_BITMAP;
    bitmap->bytes = set_bitmap_measure(bitmap);
    followers->bytes += bitmap->bytes;
}

static void
set_from_bitmap(Followers *followers, FollowersSet *set)
{
    FollowersBitmap *bitmap = set->in.bitmap;
    guint capacity = set_room(set->n);
    guint32 *array = g_new(guint32, capacity);
    guint n = set_bitmap_read(bitmap, 0, array, set->n);
    ensure(n == set->n);
    followers->bytes -= bitmap->bytes;
    set_bitmap_free(bitmap);
    set->in.array = array;
    set->shape = SHAPE_ARRAY;
    set->capacity = (guint16)capacity;
    followers->bytes += set_array_bytes(capacity);
}

/* ---- all shapes ---- */

static gboolean
set_bitmap_add(Followers *followers, FollowersSet *set, guint32 user)
{
    if (!roaring_bitmap_add_checked(set->in.bitmap->users, user)) {
        return FALSE;
    }
    set_bitmap_changed(followers, set->in.bitmap);
    return TRUE;
}

static gboolean
set_add(Followers *followers, FollowersSet *set, guint32 user)
{
    if (set->shape == SHAPE_BITMAP) {
        return set_bitmap_add(followers, set, user);
    }
    guint at = set_lower_bound(set, user);
    if (at < set->n && set_users(set)[at] == user) {
        return FALSE;
    }
    if (set->n == ARRAY_MAX) {
        set_to_bitmap(followers, set);
        return set_bitmap_add(followers, set, user);
    }
    set_insert(followers, set, at, user);
    return TRUE;
}

gboolean
followers_add(Followers *followers, guint32 author, guint32 user)
{
    ensure(user != IDMAP_NONE);
    FollowersSet *set = followers_set(followers, author);
    if (!set_add(followers, set, user)) {
        return FALSE;
    }
    set->n++;
    followers->edges++;
    return TRUE;
}

static void
set_prefetch_end(const FollowersSet *set)
{
    if (set->shape == SHAPE_ARRAY) {
        __builtin_prefetch(set->in.array + set->n, 1);
    }
}

void
followers_add_many(Followers *followers, const UserId *authors,
                   const guint32 *users, guint n)
{
    guint32 indexes[MANY];
    for (guint done = 0; done < n; done += MANY) {
        guint some = MIN(n - done, MANY);
        for (guint i = 0; i < some; i++) {
            idmap_prefetch(followers->authors, authors[done + i].v);
        }
        for (guint i = 0; i < some; i++) {
            idmap_prefetch_id(followers->authors, authors[done + i].v);
        }
        for (guint i = 0; i < some; i++) {
            indexes[i] = followers_author(followers, authors[done + i]);
            __builtin_prefetch(followers_set(followers, indexes[i]), 1);
        }
        for (guint i = 0; i < some; i++) {
            set_prefetch_end(followers_set(followers, indexes[i]));
        }
        for (guint i = 0; i < some; i++) {
            followers_add(followers, indexes[i], users[done + i]);
        }
    }
}

guint
followers_shard(UserId author)
{
    return idmap_shard(author.v);
}

static gboolean
set_remove(Followers *followers, FollowersSet *set, guint32 user)
{
    if (set->shape == SHAPE_BITMAP) {
        if (!roaring_bitmap_remove_checked(set->in.bitmap->users, user)) {
            return FALSE;
        }
        set->n--;
        set_bitmap_changed(followers, set->in.bitmap);
        if (set->n == BITMAP_MIN) {
            set_from_bitmap(followers, set);
        }
        return TRUE;
    }
    guint at = set_lower_bound(set, user);
    if (at == set->n || set_users(set)[at] != user) {
        return FALSE;
    }
    set_erase(followers, set, at);
    return TRUE;
}

gboolean
followers_remove(Followers *followers, guint32 author, guint32 user)
{
    FollowersSet *set = followers_set(followers, author);
    if (!set_remove(followers, set, user)) {
        return FALSE;
    }
    followers->edges--;
    return TRUE;
}

guint
followers_count(const Followers *followers, guint32 author)
{
    return followers_set(followers, author)->n;
}

guint
followers_read(const Followers *followers, guint32 author, guint32 from,
               guint32 *ret_users, guint max)
{
    const FollowersSet *set = followers_set(followers, author);
    if (set->shape == SHAPE_BITMAP) {
        return set_bitmap_read(set->in.bitmap, from, ret_users, max);
    }
    guint at = set_lower_bound(set, from);
    guint n = MIN(max, set->n - at);
    memcpy(ret_users, &set_users(set)[at], n * sizeof *ret_users);
    return n;
}

FollowersPosts
followers_posts(const Followers *followers, guint32 author)
{
    return (FollowersPosts)followers_set(followers, author)->posts;
}

void
followers_set_posts(Followers *followers, guint32 author, FollowersPosts posts)
{
    followers_set(followers, author)->posts = (guint8)posts;
}

guint64
followers_edges(const Followers *followers)
{
    return followers->edges;
}

gsize
followers_bytes(const Followers *followers)
{
    return sizeof *followers + followers->bytes +
           idmap_bytes(followers->authors);
}
