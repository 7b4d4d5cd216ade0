/*
 * One GArray of 4-byte indexes an author. Adding appends; removing searches
 * the array, which unfollows of a very popular author pay for. Nothing here
 * is durable: the edge rows are, and apply keeps both in step.
 */
#include "cell/followers.h"

#include "ops/kit/ensure.h"

struct Followers {
    GHashTable *by_author; /* author id, as a pointer -> GArray of guint32 */
    guint64 edges;         /* in all arrays */
};

static void
followers_array_free(gpointer array)
{
    g_array_unref(array);
}

Followers *
followers_new(void)
{
    Followers *followers = g_new0(Followers, 1);
    followers->by_author =
        g_hash_table_new_full(NULL, NULL, NULL, followers_array_free);
    return followers;
}

void
followers_free(Followers *followers)
{
    g_hash_table_unref(followers->by_author);
    g_free(followers);
}

static GArray *
followers_find(Followers *followers, UserId author)
{
    return g_hash_table_lookup(followers->by_author,
                               GSIZE_TO_POINTER((gsize)author.v));
}

void
followers_add(Followers *followers, UserId author, guint32 user)
{
    GArray *users = followers_find(followers, author);
    if (users == NULL) {
        users = g_array_new(FALSE, FALSE, sizeof(guint32));
        g_hash_table_insert(followers->by_author,
                            GSIZE_TO_POINTER((gsize)author.v), users);
    }
    g_array_append_val(users, user);
    followers->edges++;
}

void
followers_remove(Followers *followers, UserId author, guint32 user)
{
    GArray *users = followers_find(followers, author);
    ensure(users != NULL);
    for (guint i = 0; i < users->len; i++) {
        if (g_array_index(users, guint32, i) == user) {
            g_array_remove_index_fast(users, i);
            followers->edges--;
            return;
        }
    }
    ensure(!"the edge rows and the index disagree");
}

const guint32 *
followers_get(Followers *followers, UserId author, guint *ret_n)
{
    GArray *users = followers_find(followers, author);
    *ret_n = users != NULL ? users->len : 0;
    return users != NULL ? (const guint32 *)(gconstpointer)users->data : NULL;
}

guint64
followers_edges(const Followers *followers)
{
    return followers->edges;
}
