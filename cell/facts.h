/*
 * facts.h - what events make true, as rows
 *
 * Each function joins one event into the rows: a newer event id wins, an
 * equal one says "again", an older one changes nothing; so the rows are a
 * function of the set of events (I1). Two events of one id are one event; if
 * bytes differ all the same, the greater bytes win, everywhere alike.
 *
 *   post       the greatest bytes given under the id
 *   tombstone  (post, actor): a post is deleted where its author asked
 *   edge       (follower, followee): following or not; see edges.h
 *   kept       events whose kinds this version does not apply
 *   quarantine records that are no valid event: why, key, value, log time
 *
 * Thread: writing is the apply thread's; reading is anybody's.
 */
#pragma once

#include "cell/store.h"
#include "firehose/event.h"
#include "firehose/log.h"

typedef enum FactOutcome {
    FACT_SET,    /* the event changed the row */
    FACT_AGAIN,  /* the row is this very event's: repeat its effect */
    FACT_OLDER,  /* a newer event has set the row */
    FACT_FAILED, /* the store cannot be read */
} FactOutcome;

/** fact_post() - join a POST event: the post and its timeline row. */
FactOutcome fact_post(StoreBatch *batch, const Event *event);

/** fact_delete() - join a DELETE event. */
FactOutcome fact_delete(StoreBatch *batch, const Event *event);

/** fact_keep() - put an event aside for later; counted when FACT_SET. */
FactOutcome fact_keep(StoreBatch *batch, const Event *event);

/** fact_quarantine() - put a record aside that is no valid event. */
FactOutcome fact_quarantine(StoreBatch *batch, const LogRecord *record,
                            const EventFault *fault);

/** fact_kept_count() - how many events of @kind are kept. */
guint64 fact_kept_count(Store *store, guint kind);

/** fact_quarantine_count() - how many records are quarantined. */
guint64 fact_quarantine_count(Store *store);

/**
 * fact_deleted() - whether the author deleted the post, at @snapshot
 *
 * Effect: STORE_FOUND: yes; STORE_MISSING: no.
 */
StoreOutcome fact_deleted(Store *store, const StoreSnapshot *snapshot,
                          PostId post, UserId author);
