#include "cell/fanout.h"

#include "cell/followers.h"

/* Followers taken out of their set at a time: 16 KiB, they stay in the first
   level of cache. */
#define FANOUT_USERS 4096

typedef struct FanoutJob {
    FanoutPost post;
    guint32 author; /* its index among followers */
    guint32 from;   /* the next follower's index is not below */
} FanoutJob;

struct Fanout {
    State *state;                /* borrowed */
    GArray *jobs;                /* FanoutJob, oldest first */
    guint32 users[FANOUT_USERS]; /* scratch */
};

Fanout *
fanout_new(State *state)
{
    Fanout *fanout = g_new0(Fanout, 1);
    fanout->state = state;
    fanout->jobs = g_array_new(FALSE, FALSE, sizeof(FanoutJob));
    return fanout;
}

void
fanout_free(Fanout *fanout)
{
    g_array_unref(fanout->jobs);
    g_free(fanout);
}

/* Deliver to up to @max followers; how many there were. */
static guint
fanout_run(Fanout *fanout, FanoutJob *job, guint max)
{
    State *state = fanout->state;
    guint done = 0;
    while (done < max) {
        guint want = MIN(max - done, FANOUT_USERS);
        guint n = followers_read(state->followers, job->author, job->from,
                                 fanout->users, want);
        inbox_deliver(state->inbox, fanout->users, n, job->post.post);
        done += n;
        if (n < want) {
            break;
        }
        job->from = fanout->users[n - 1] + 1;
    }
    state_add(state, METRIC_DELIVERIES, done);
    return done;
}

static void
fanout_note_pending(Fanout *fanout)
{
    metric_set(&fanout->state->metrics[METRIC_FANOUT_PENDING],
               fanout->jobs->len);
}

static FanoutJob *
fanout_oldest(Fanout *fanout)
{
    return &g_array_index(fanout->jobs, FanoutJob, 0);
}

static void
fanout_end_oldest(Fanout *fanout)
{
    pending_take(&fanout->state->pending, fanout_oldest(fanout)->post.post);
    g_array_remove_index(fanout->jobs, 0);
    fanout_note_pending(fanout);
}

void
fanout_start(Fanout *fanout, const FanoutPost *post)
{
    State *state = fanout->state;
    FanoutJob job = {.post = *post};
    job.author = followers_find(state->followers, post->author);
    if (job.author == IDMAP_NONE) {
        return;
    }
    /* A fan-out that is under way is never ended here: the followers are those
       of the batch to be committed, and readers may not see that yet. */
    guint slice = inbox_tuning(state->inbox)->slice;
    if (followers_count(state->followers, job.author) <= slice ||
        fanout->jobs->len == PENDING_MAX) {
        fanout_run(fanout, &job, G_MAXUINT);
        return;
    }
    pending_add(&state->pending, post->post);
    g_array_append_val(fanout->jobs, job);
    fanout_note_pending(fanout);
}

gboolean
fanout_slice(Fanout *fanout, GError **error)
{
    guint left = inbox_tuning(fanout->state->inbox)->slice;
    while (left > 0 && fanout->jobs->len > 0) {
        guint done = fanout_run(fanout, fanout_oldest(fanout), left);
        if (!killpoint_hit(fanout->state->kill, KILL_FANOUT, error)) {
            return FALSE;
        }
        if (done < left) {
            fanout_end_oldest(fanout);
        }
        left -= done;
    }
    return TRUE;
}

guint
fanout_pending(const Fanout *fanout)
{
    return fanout->jobs->len;
}

void
fanout_hold_back(const Fanout *fanout, guint64 *next)
{
    for (guint i = 0; i < fanout->jobs->len; i++) {
        const FanoutPost *post =
            &g_array_index(fanout->jobs, FanoutJob, i).post;
        next[post->partition] = MIN(next[post->partition], post->offset);
    }
}
