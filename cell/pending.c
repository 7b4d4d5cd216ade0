#include "cell/pending.h"

#include <string.h>

static gint64
pending_at(const Pending *pending, guint i)
{
    return atomic_load_explicit(&pending->posts[i], memory_order_acquire);
}

gboolean
pending_add(Pending *pending, PostId post)
{
    for (guint i = 0; i < PENDING_MAX; i++) {
        if (pending_at(pending, i) == 0) {
            atomic_store_explicit(&pending->posts[i], post.v,
                                  memory_order_release);
            return TRUE;
        }
    }
    return FALSE;
}

void
pending_take(Pending *pending, PostId post)
{
    for (guint i = 0; i < PENDING_MAX; i++) {
        if (pending_at(pending, i) == post.v) {
            atomic_store_explicit(&pending->posts[i], 0, memory_order_release);
            return;
        }
    }
}

guint
pending_read(const Pending *pending, gint64 ret_posts[PENDING_MAX])
{
    guint n = 0;
    for (guint i = 0; i < PENDING_MAX; i++) {
        gint64 post = pending_at(pending, i);
        guint at = n;
        while (at > 0 && ret_posts[at - 1] > post) {
            at--;
        }
        /* A repeated event is a fan-out of its own. */
        if (post == 0 || (at > 0 && ret_posts[at - 1] == post)) {
            continue;
        }
        memmove(ret_posts + at + 1, ret_posts + at,
                (n - at) * sizeof *ret_posts);
        ret_posts[at] = post;
        n++;
    }
    return n;
}
