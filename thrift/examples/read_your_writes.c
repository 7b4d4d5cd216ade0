/*
 * read_your_writes.c - a program that writes posts and sees each at once
 *
 *     gcc read_your_writes.c -o read_your_writes \
 *         $(pkg-config --cflags --libs comb-client)
 *     ./read_your_writes 127.0.0.1 9110 9100 42 10
 *
 * User 42 follows itself and writes ten posts; after each the newest page of
 * its dashboard, read with the post's position, must have it.
 *
 * Nothing that can go wrong in between ends it, unless the same call would be
 * refused again: it waits for as long as it is told to, and calls again. Each
 * event gets its id first (nextIds), so that one that was taken although the
 * answer was lost is not there twice.
 */
#include <comb/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MS 2000
#define TRIES_MAX 200

typedef struct Program {
    CombClient *gateway; /* writes */
    CombClient *router;  /* reads */
    gint64 user;
    gint64 id;            /* of the event that is written */
    char *body;           /* of its post; owned */
    GByteArray *position; /* where the log has it; owned */
} Program;

/* What a call has come to. */
typedef enum Outcome {
    DONE,
    AGAIN,  /* after a pause that is over */
    REFUSED /* for good */
} Outcome;

typedef Outcome (*Step)(Program *program);

/* Looks at a call that is over, says what went wrong, and waits. Takes @error.
 */
static Outcome
look(const char *what, gboolean done, CombClient *client,
     const CombRefusals *refusals, GError *error)
{
    g_autoptr(GError) failure = error;
    g_autofree char *thrown = comb_refusals_explain(refusals);
    gint wait_ms = comb_refusals_retry_ms(refusals);

    if (done) {
        return DONE;
    }
    if (thrown != NULL && wait_ms < 0) {
        fprintf(stderr, "%s: %s\n", what, thrown);
        return REFUSED;
    }
    if (thrown == NULL) {
        /* The connection, or what came over it. The next call makes a new
           one, when it may. */
        thrown = g_strdup(failure != NULL ? failure->message : "no result");
        wait_ms = (gint)comb_client_retry_ms(client);
    }
    fprintf(stderr, "%s: %s; again in %d ms\n", what, thrown, wait_ms);
    g_usleep((gulong)(wait_ms + 10) * 1000);
    return AGAIN;
}

static Outcome
next_id(Program *program)
{
    g_auto(CombRefusals) no = {0};
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    GError *error = NULL;
    gboolean done = comb_firehose_client_next_ids(
        comb_client_firehose(program->gateway), &ids, 1,
        comb_client_begin(program->gateway, DEADLINE_MS), &no.invalid,
        &no.overloaded, &no.deadline, &no.unavailable, &no.denied, &error);

    if (done) {
        program->id = g_array_index(ids, gint64, 0);
    }
    return look("nextIds", done, program->gateway, &no, error);
}

static Outcome
follow_self(Program *program)
{
    g_auto(CombRefusals) no = {0};
    g_autoptr(CombPublishResult) result =
        g_object_new(COMB_TYPE_PUBLISH_RESULT, NULL);
    GError *error = NULL;
    gboolean done = comb_firehose_client_follow(
        comb_client_firehose(program->gateway), &result, program->user,
        program->user, program->id,
        comb_client_begin(program->gateway, DEADLINE_MS), &no.invalid,
        &no.overloaded, &no.deadline, &no.unavailable, &no.denied, &error);

    return look("follow", done, program->gateway, &no, error);
}

/* The event has an id already: writing it twice changes nothing. */
static Outcome
write_post(Program *program)
{
    g_auto(CombRefusals) no = {0};
    g_autoptr(CombPublishResult) result =
        g_object_new(COMB_TYPE_PUBLISH_RESULT, NULL);
    g_autoptr(CombPost) post = g_object_new(COMB_TYPE_POST, NULL);
    GError *error = NULL;

    post->kind = COMB_POST_KIND_TEXT;
    post->__isset_kind = TRUE;
    post->body = g_byte_array_new();
    g_byte_array_append(post->body, (const guint8 *)program->body,
                        (guint)strlen(program->body));
    post->__isset_body = TRUE;
    gboolean done = comb_firehose_client_create_post(
        comb_client_firehose(program->gateway), &result, program->user, post,
        program->id, comb_client_begin(program->gateway, DEADLINE_MS),
        &no.invalid, &no.overloaded, &no.deadline, &no.unavailable, &no.denied,
        &error);
    if (done) {
        program->position = g_byte_array_ref(result->position);
    }
    return look("createPost", done, program->gateway, &no, error);
}

/* Reads the newest page, which must begin with the post. */
static Outcome
read_post(Program *program)
{
    g_auto(CombRefusals) no = {0};
    g_autoptr(CombPageRequest) newest =
        g_object_new(COMB_TYPE_PAGE_REQUEST, NULL);
    g_autoptr(CombPage) page = g_object_new(COMB_TYPE_PAGE, NULL);
    CombRequestContext *context =
        comb_client_begin(program->router, DEADLINE_MS);
    GError *error = NULL;

    comb_client_read_after(context, program->position);
    gboolean done = comb_dashboard_client_get_dashboard(
        comb_client_dashboard(program->router), &page, program->user, newest,
        context, &no.invalid, &no.not_homed, &no.overloaded, &no.deadline,
        &no.unavailable, &no.denied, &error);
    Outcome outcome = look("getDashboard", done, program->router, &no, error);
    if (outcome != DONE) {
        return outcome;
    }
    if (page->__isset_stale) {
        fprintf(stderr, "getDashboard: stale: %s\n", page->stale);
        return AGAIN;
    }
    const CombEntry *first =
        page->entries->len > 0 ? g_ptr_array_index(page->entries, 0) : NULL;
    if (first == NULL || first->post->id != program->id) {
        fprintf(stderr, "getDashboard: post %" G_GINT64_FORMAT " is missing\n",
                program->id);
        return REFUSED;
    }
    return DONE;
}

/* FALSE: it is refused, or it takes too long. */
static gboolean
until_done(Program *program, Step step)
{
    Outcome outcome = AGAIN;

    for (int i = 0; outcome == AGAIN && i < TRIES_MAX; i++) {
        outcome = step(program);
    }
    return outcome == DONE;
}

static gboolean
write_and_read(Program *program, int number)
{
    program->body = g_strdup_printf("post %d", number);
    gboolean good = until_done(program, next_id) &&
                    until_done(program, write_post) &&
                    until_done(program, read_post);

    if (good) {
        printf("%d %" G_GINT64_FORMAT "\n", number, program->id);
        fflush(stdout);
    }
    g_clear_pointer(&program->body, g_free);
    g_clear_pointer(&program->position, g_byte_array_unref);
    return good;
}

static CombClient *
open_client(const char *host, const char *port)
{
    CombClientOptions options = {
        .host = host,
        .port = (guint16)atoi(port),
        .connect_timeout_ms = 500,
        .caller = "read_your_writes",
    };
    g_autoptr(GError) error = NULL;
    CombClient *client = comb_client_new(&options, &error);

    if (client == NULL) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
    return client;
}

int
main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s HOST GATEWAY-PORT ROUTER-PORT USER POSTS\n",
                argv[0]);
        return 2;
    }
    g_autoptr(CombClient) gateway = open_client(argv[1], argv[2]);
    g_autoptr(CombClient) router = open_client(argv[1], argv[3]);
    Program program = {
        .gateway = gateway, .router = router, .user = atoll(argv[4])};
    gboolean good =
        until_done(&program, next_id) && until_done(&program, follow_self);

    for (int i = 1; good && i <= atoi(argv[5]); i++) {
        good = write_and_read(&program, i);
    }
    return good ? 0 : 1;
}
