#include "cell/errands.h"

#include "ops/kit/ensure.h"

#include <pthread.h>

struct Errands {
    ErrandsFunc run;
    gpointer user_data;
    guint max; /* that may wait */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t news;   /* an errand, or the end */
    GQueue waiting;        /* errands, oldest first */
    gboolean ending;
};

/* The next errand, or NULL at the end. */
static gpointer
errands_next(Errands *errands)
{
    pthread_mutex_lock(&errands->mutex);
    while (errands->waiting.length == 0 && !errands->ending) {
        pthread_cond_wait(&errands->news, &errands->mutex);
    }
    gpointer errand = g_queue_pop_head(&errands->waiting);
    pthread_mutex_unlock(&errands->mutex);
    return errand;
}

static gpointer
errands_main(gpointer user_data)
{
    Errands *errands = user_data;
    gpointer errand;
    while ((errand = errands_next(errands)) != NULL) {
        errands->run(errand, errands->user_data);
    }
    return NULL;
}

Errands *
errands_start(ErrandsFunc run, gpointer user_data, guint max)
{
    Errands *errands = g_new0(Errands, 1);
    errands->run = run;
    errands->user_data = user_data;
    errands->max = max;
    g_queue_init(&errands->waiting);
    pthread_mutex_init(&errands->mutex, NULL);
    pthread_cond_init(&errands->news, NULL);
    int failed = pthread_create(&errands->thread, NULL, errands_main, errands);
    ensure(failed == 0);
    return errands;
}

gboolean
errands_push(Errands *errands, gpointer errand)
{
    pthread_mutex_lock(&errands->mutex);
    gboolean room = errands->waiting.length < errands->max;
    if (room) {
        g_queue_push_tail(&errands->waiting, errand);
        pthread_cond_signal(&errands->news);
    }
    pthread_mutex_unlock(&errands->mutex);
    return room;
}

void
errands_stop(Errands *errands)
{
    pthread_mutex_lock(&errands->mutex);
    errands->ending = TRUE;
    pthread_cond_signal(&errands->news);
    pthread_mutex_unlock(&errands->mutex);
    pthread_join(errands->thread, NULL);
    pthread_cond_destroy(&errands->news);
    pthread_mutex_destroy(&errands->mutex);
    g_free(errands);
}
