/*
 * worker.c - a thread of the server
 *
 * The thread runs its event base and nothing else. Whoever has something for
 * it puts it into the mailbox and, where that was empty, writes to an
 * eventfd; the thread takes the whole box at once. A handler that answers on
 * the thread itself needs neither. libevent's own locking is therefore not
 * needed: a base is touched by its thread only.
 *
 * An order to stop ends the loop wherever it is: calls may be open and
 * answers unsent. worker_clear() frees them, once no thread is left.
 */
#include "thrift/worker.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <sys/eventfd.h>
#include <unistd.h>

static gboolean
is_own_thread(const Worker *worker)
{
    return pthread_equal(worker->self, pthread_self());
}

/* Under the lock; the thread takes all that is there when it wakes. */
static void
ring(const Worker *worker)
{
    guint64 one = 1;

    ensure(write(worker->wake_fd, &one, sizeof(one)) == sizeof(one));
}

static void
adopt(Worker *worker, int fd)
{
    if (worker->draining) {
        close(fd);
        worker->counters->connections--;
        return;
    }
    connection_open(worker, fd);
}

static void
stop_listening(Worker *worker)
{
    if (worker->acceptable != NULL) {
        int fd = event_get_fd(worker->acceptable);

        event_free(g_steal_pointer(&worker->acceptable));
        close(fd);
    }
}

static void
drain(Worker *worker)
{
    Connection *connection;

    worker->draining = TRUE;
    stop_listening(worker);
    for (connection = TAILQ_FIRST(&worker->connections); connection != NULL;
         connection = connection_next(connection)) {
        connection_quiet(connection);
    }
    worker->drained = TRUE;
}

/* Empties the mailbox into *ret_mail, which has no lock. */
static void
take_mail(Worker *worker, Mailbox *ret_mail)
{
    Mailbox *mail = &worker->mail;

    STAILQ_INIT(&ret_mail->answered);
    pthread_mutex_lock(&mail->lock);
    STAILQ_CONCAT(&ret_mail->answered, &mail->answered);
    ret_mail->sockets = mail->sockets;
    ret_mail->drain = mail->drain;
    ret_mail->stop = mail->stop;
    mail->sockets = g_array_new(FALSE, FALSE, sizeof(int));
    mail->drain = FALSE;
    pthread_mutex_unlock(&mail->lock);
}

static void
handle_mail(Worker *worker)
{
    Mailbox mail;
    Request *request;

    take_mail(worker, &mail);
    while ((request = STAILQ_FIRST(&mail.answered)) != NULL) {
        STAILQ_REMOVE_HEAD(&mail.answered, in_mail);
        connection_answered(request);
    }
    for (guint i = 0; i < mail.sockets->len; i++) {
        adopt(worker, g_array_index(mail.sockets, int, i));
    }
    g_array_unref(mail.sockets);
    if (mail.drain) {
        drain(worker);
    }
    if (mail.stop) {
        event_base_loopbreak(worker->base);
    }
}

static void
on_wake(evutil_socket_t fd, short what, void *user_data)
{
    guint64 rings;

    (void)what;
    if (read(fd, &rings, sizeof(rings)) == sizeof(rings)) {
        handle_mail(user_data);
    }
}

/* A call whose turn it is. */
static void
serve(Worker *worker, Request *request, const CallLane *lane)
{
    Connection *connection = request->connection;

    if (connection_serves(request)) {
        request_serve(request, worker);
        if (callqueue_is_pressed(&worker->queue, lane)) {
            connection_hurry(connection);
        }
    }
}

/*
 * Serves for a short while, then lets sockets be looked at: what has arrived
 * meanwhile takes its place among callers, or is refused, in time. A timer of
 * no time comes after the next poll, where event_active() would come before.
 */
static void
on_turn(evutil_socket_t fd, short what, void *user_data)
{
    static const struct timeval next = {0, 0};
    Worker *worker = user_data;
    CallQueue *queue = &worker->queue;
    gint64 now = callqueue_now(), end;
    CallLane *lane;
    Request *request;

    (void)fd;
    (void)what;
    end = callqueue_begin(queue, now);
    while (now < end && (request = callqueue_take(queue, &lane)) != NULL) {
        gint64 begin = now;

        serve(worker, request, lane);
        now = callqueue_now();
        callqueue_charge(queue, lane, now - begin);
    }
    if (callqueue_end(queue, now)) {
        event_add(worker->turn, &next);
    }
}

static void
on_send(evutil_socket_t fd, short what, void *user_data)
{
    Worker *worker = user_data;
    Connection *connection;

    (void)fd;
    (void)what;
    while ((connection = TAILQ_FIRST(&worker->ready)) != NULL) {
        connection_send(connection);
    }
    worker->waking = FALSE;
}

void
worker_wake_send(Worker *worker)
{
    if (!worker->waking) {
        worker->waking = TRUE;
        event_active(worker->send, EV_TIMEOUT, 0);
    }
}

void
worker_wake_turn(Worker *worker)
{
    if (!event_pending(worker->turn, EV_TIMEOUT, NULL)) {
        event_active(worker->turn, EV_TIMEOUT, 0);
    }
}

static void *
run(void *user_data)
{
    Worker *worker = user_data;

    worker->self = pthread_self();
    event_base_dispatch(worker->base);
    return NULL;
}

void
worker_init(Worker *worker, guint number, const ServerOptions *options,
            ServerCounters *counters)
{
    worker->number = number;
    worker->options = options;
    worker->counters = counters;
    worker->stall.tv_sec = options->stall_ms / 1000;
    worker->stall.tv_usec = (suseconds_t)(options->stall_ms % 1000) * 1000;
    worker->base = event_base_new();
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ensure(worker->base != NULL && worker->wake_fd >= 0);
    worker->wake = event_new(worker->base, worker->wake_fd,
                             EV_READ | EV_PERSIST, on_wake, worker);
    ensure(worker->wake != NULL && event_add(worker->wake, NULL) == 0);
    TAILQ_INIT(&worker->ready);
    worker->room = g_malloc(WORKER_ROOM_BYTES);
    worker->send = event_new(worker->base, -1, 0, on_send, worker);
    ensure(worker->send != NULL);
    worker->turn = event_new(worker->base, -1, 0, on_turn, worker);
    ensure(worker->turn != NULL);
    callqueue_init(&worker->queue, options->queue_ms);
    TAILQ_INIT(&worker->connections);
    pthread_mutex_init(&worker->mail.lock, NULL);
    STAILQ_INIT(&worker->mail.answered);
    worker->mail.sockets = g_array_new(FALSE, FALSE, sizeof(int));
}

void
worker_listen(Worker *worker, int fd, event_callback_fn acceptable,
              gpointer user_data)
{
    worker->acceptable = event_new(worker->base, fd, EV_READ | EV_PERSIST,
                                   acceptable, user_data);
    ensure(worker->acceptable != NULL);
    ensure(event_add(worker->acceptable, NULL) == 0);
}

gboolean
worker_start(Worker *worker, GError **error)
{
    int failed = pthread_create(&worker->thread, NULL, run, worker);

    if (failed != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "cannot start thread: %s",
                    g_strerror(failed));
        return FALSE;
    }
    return TRUE;
}

void
worker_adopt(Worker *worker, int fd)
{
    pthread_mutex_lock(&worker->mail.lock);
    g_array_append_val(worker->mail.sockets, fd);
    ring(worker);
    pthread_mutex_unlock(&worker->mail.lock);
}

void
request_reply(Request *request, GByteArray *message)
{
    Worker *worker = connection_worker(request->connection);
    Mailbox *mail = &worker->mail;

    ensure(request->reply == NULL && message != NULL);
    request->reply = message;
    if (is_own_thread(worker)) {
        connection_answered(request);
        return;
    }
    pthread_mutex_lock(&mail->lock);
    if (STAILQ_EMPTY(&mail->answered)) {
        ring(worker);
    }
    STAILQ_INSERT_TAIL(&mail->answered, request, in_mail);
    pthread_mutex_unlock(&mail->lock);
}

void
worker_drain(Worker *worker)
{
    pthread_mutex_lock(&worker->mail.lock);
    worker->mail.drain = TRUE;
    ring(worker);
    pthread_mutex_unlock(&worker->mail.lock);
}

void
worker_stop(Worker *worker)
{
    pthread_mutex_lock(&worker->mail.lock);
    worker->mail.stop = TRUE;
    ring(worker);
    pthread_mutex_unlock(&worker->mail.lock);
    pthread_join(worker->thread, NULL);
}

void
worker_clear(Worker *worker)
{
    Mailbox *mail = &worker->mail;
    Connection *connection;

    while ((connection = TAILQ_FIRST(&worker->connections)) != NULL) {
        connection_free(connection);
    }
    for (guint i = 0; i < mail->sockets->len; i++) {
        close(g_array_index(mail->sockets, int, i));
    }
    g_array_unref(mail->sockets);
    pthread_mutex_destroy(&mail->lock);
    stop_listening(worker);
    event_free(worker->turn);
    event_free(worker->send);
    g_free(worker->room);
    event_free(worker->wake);
    event_base_free(worker->base);
    close(worker->wake_fd);
}
