/*
 * model.h - the oracle: the dashboard equation (I2), slowly and plainly
 *
 * It hears of each record once, as it is appended, and remembers where; so it
 * can say what pages must be once any prefix of each partition is applied. No
 * code of the cell is in it. The rules, which are those of oracle.py:
 *
 *   - of an edge the newest event id decides, of one id with both meanings
 *     the follow;
 *   - of two posts with one id the greater bytes are the post;
 *   - a post is deleted where its author asked, whenever;
 *   - a reply or reblog shows once its parent and original are known, deleted
 *     or not; a deleted one is left out beside it;
 *   - every other kind changes no page.
 *
 * Prefixes: per partition, the number of records that are applied.
 */
#pragma once

#include "tests/sim/world.h"

typedef struct Model Model;

/* What a page must show of a post; ranges of the events' bytes. */
typedef struct ModelEntry {
    gint64 id;
    WireBytes post;
    WireBytes parent;   /* empty: none, or deleted */
    WireBytes original; /* likewise */
} ModelEntry;

/** model_new() - nothing has happened. Events outlive the model. */
Model *model_new(guint partitions);
void model_free(Model *model);

/** model_add() - @event was appended to @partition, as its next record. */
void model_add(Model *model, const SimEvent *event, const Delivery *delivery);

/**
 * model_list() - a dashboard, or a timeline, newest first
 *
 * @entries: of ModelEntry; emptied first.
 */
void model_list(const Model *model, gboolean dashboard, gint64 user,
                const guint64 *next, GArray *entries);

/** model_get() - a post that is there and not deleted; empty: there is none. */
WireBytes model_get(const Model *model, gint64 id, const guint64 *next);

/** model_as_of() - the greatest id of a valid event. */
gint64 model_as_of(const Model *model, const guint64 *next);

/** model_quarantined() - how many records are no valid event. */
guint64 model_quarantined(const Model *model, const guint64 *next);

/** model_explain() - append to @out all that is known of a post and whether
 * @reader follows its authors. */
void model_explain(const Model *model, gint64 reader, gint64 id, GString *out);
