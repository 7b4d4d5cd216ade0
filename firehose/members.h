/*
 * members.h - the members that this gateway's streams are, by client
 *
 * A commit comes by a call, on a connection of its own; where the client's
 * streams share the partitions it has to go through the member that has them
 * (log_member_commit()). Thread: any.
 */
#pragma once

#include "firehose/log.h"

typedef struct Members Members;

typedef enum MembersOutcome {
    MEMBERS_NONE,    /* the client has none here */
    MEMBERS_STORED,  /* committed */
    MEMBERS_REFUSED, /* *error: as log_member_commit() */
} MembersOutcome;

/** members_new() - none yet. Owns: gives. */
Members *members_new(void);

/** members_free() - all have been removed. */
void members_free(Members *members);

/** members_add() - @member, borrowed until it is removed. */
void members_add(Members *members, const char *client, LogMember *member);

/** members_remove() - waits for a commit in progress. */
void members_remove(Members *members, LogMember *member);

/** members_commit() - through whichever member has all partitions of @next. */
MembersOutcome members_commit(Members *members, const char *client,
                              const guint64 *next, GError **error);
