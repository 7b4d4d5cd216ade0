#include "firehose/members.h"

#include "ops/kit/ensure.h"

#include <pthread.h>
#include <string.h>

typedef struct Entry {
    char *client;
    LogMember *member;
    guint busy; /* commits in progress */
} Entry;

struct Members {
    pthread_mutex_t mutex; /* guards the entries; not held in a commit */
    pthread_cond_t idle;   /* an entry is not busy any more */
    GPtrArray *entries;
};

static void
entry_free(gpointer data)
{
    Entry *entry = data;

    g_free(entry->client);
    g_free(entry);
}

Members *
members_new(void)
{
    Members *members = g_new0(Members, 1);

    pthread_mutex_init(&members->mutex, NULL);
    pthread_cond_init(&members->idle, NULL);
    members->entries = g_ptr_array_new_with_free_func(entry_free);
    return members;
}

void
members_free(Members *members)
{
    ensure(members->entries->len == 0);
    g_ptr_array_unref(members->entries);
    pthread_cond_destroy(&members->idle);
    pthread_mutex_destroy(&members->mutex);
    g_free(members);
}

void
members_add(Members *members, const char *client, LogMember *member)
{
    Entry *entry = g_new0(Entry, 1);

    entry->client = g_strdup(client);
    entry->member = member;
    pthread_mutex_lock(&members->mutex);
    g_ptr_array_add(members->entries, entry);
    pthread_mutex_unlock(&members->mutex);
}

static Entry *
find(const Members *members, const LogMember *member)
{
    for (guint i = 0; i < members->entries->len; i++) {
        Entry *entry = g_ptr_array_index(members->entries, i);

        if (entry->member == member) {
            return entry;
        }
    }
    return NULL;
}

void
members_remove(Members *members, LogMember *member)
{
    Entry *entry;

    pthread_mutex_lock(&members->mutex);
    entry = find(members, member);
    ensure(entry != NULL);
    while (entry->busy > 0) {
        pthread_cond_wait(&members->idle, &members->mutex);
    }
    g_ptr_array_remove(members->entries, entry);
    pthread_mutex_unlock(&members->mutex);
}

/* Those of @client, each made busy. Owns: gives. */
static GPtrArray *
hold_entries(Members *members, const char *client)
{
    GPtrArray *held = g_ptr_array_new();

    pthread_mutex_lock(&members->mutex);
    for (guint i = 0; i < members->entries->len; i++) {
        Entry *entry = g_ptr_array_index(members->entries, i);

        if (strcmp(entry->client, client) == 0) {
            entry->busy++;
            g_ptr_array_add(held, entry);
        }
    }
    pthread_mutex_unlock(&members->mutex);
    return held;
}

/* Owns: takes @held. */
static void
let_go(Members *members, GPtrArray *held)
{
    pthread_mutex_lock(&members->mutex);
    for (guint i = 0; i < held->len; i++) {
        ((Entry *)g_ptr_array_index(held, i))->busy--;
    }
    pthread_cond_broadcast(&members->idle);
    pthread_mutex_unlock(&members->mutex);
    g_ptr_array_unref(held);
}

MembersOutcome
members_commit(Members *members, const char *client, const guint64 *next,
               GError **error)
{
    GPtrArray *held = hold_entries(members, client);
    MembersOutcome outcome = held->len > 0 ? MEMBERS_REFUSED : MEMBERS_NONE;

    for (guint i = 0; i < held->len && outcome != MEMBERS_STORED; i++) {
        const Entry *entry = g_ptr_array_index(held, i);

        g_clear_error(error);
        if (log_member_commit(entry->member, next, error)) {
            outcome = MEMBERS_STORED;
        }
    }
    let_go(members, held);
    return outcome;
}
