/*
 * An array in the order in which taps came, oldest first. Taps are closed
 * outside of the lock, because closing one may wait for Kafka.
 */
#include "firehose/shelf.h"

#include <pthread.h>
#include <string.h>

/* A tap and when it came. */
typedef struct Laid {
    Tap *tap;
    gint64 since_us;
} Laid;

struct Shelf {
    guint partitions;
    gint64 keep_us;
    pthread_mutex_t mutex; /* guards the rest */
    guint n;
    Laid laid[SHELF_TAPS_MAX]; /* oldest first */
};

static void
laid_close(gpointer tap)
{
    tap_close(tap);
}

Shelf *
shelf_new(guint partitions, guint keep_ms)
{
    Shelf *shelf = g_new0(Shelf, 1);

    shelf->partitions = partitions;
    shelf->keep_us = (gint64)keep_ms * 1000;
    pthread_mutex_init(&shelf->mutex, NULL);
    return shelf;
}

/* Takes one off. Locked. */
static Tap *
remove_at(Shelf *shelf, guint i)
{
    Tap *tap = shelf->laid[i].tap;

    shelf->n--;
    memmove(&shelf->laid[i], &shelf->laid[i + 1],
            (shelf->n - i) * sizeof(Laid));
    return tap;
}

/* Moves those that lay too long to @old. Locked. */
static void
remove_old(Shelf *shelf, GPtrArray *old)
{
    gint64 before_us = g_get_monotonic_time() - shelf->keep_us;

    while (shelf->n > 0 && shelf->laid[0].since_us < before_us) {
        g_ptr_array_add(old, remove_at(shelf, 0));
    }
}

Tap *
shelf_take(Shelf *shelf, const guint64 *next)
{
    g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func(laid_close);
    Tap *tap = NULL;

    pthread_mutex_lock(&shelf->mutex);
    remove_old(shelf, old);
    for (guint i = 0; i < shelf->n && tap == NULL; i++) {
        if (memcmp(tap_next(shelf->laid[i].tap), next,
                   shelf->partitions * sizeof *next) == 0) {
            tap = remove_at(shelf, i);
        }
    }
    pthread_mutex_unlock(&shelf->mutex);
    return tap;
}

void
shelf_put(Shelf *shelf, Tap *tap)
{
    g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func(laid_close);

    pthread_mutex_lock(&shelf->mutex);
    remove_old(shelf, old);
    if (shelf->n == SHELF_TAPS_MAX) {
        g_ptr_array_add(old, remove_at(shelf, 0));
    }
    shelf->laid[shelf->n++] = (Laid){tap, g_get_monotonic_time()};
    pthread_mutex_unlock(&shelf->mutex);
}

void
shelf_free(Shelf *shelf)
{
    if (shelf == NULL) {
        return;
    }
    for (guint i = 0; i < shelf->n; i++) {
        tap_close(shelf->laid[i].tap);
    }
    pthread_mutex_destroy(&shelf->mutex);
    g_free(shelf);
}
