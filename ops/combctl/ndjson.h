/*
 * ndjson.h - a line of an imported file becomes an event
 *
 * The format is documented in ops/combctl/README.md. Here shapes are checked:
 * JSON, keys, types, what goes with which kind. Limits are the gateway's to
 * check, so that they are told in one way.
 */
#pragma once

#include "ops/combctl/names.h"

#include "comb_types_types.h"

/**
 * ndjson_parse() - read one line into @event
 *
 * @need_id: whether "id" must be there.
 * @names:   remembers the names that are met.
 * @event:   of any content; its buffers are used again. After a failure its
 *           content is of no use.
 * Fails:    COMB_ERROR_INPUT, FALSE: what is wrong, naming the key.
 */
gboolean ndjson_parse(const char *line, gsize len, gboolean need_id,
                      Names *names, CombEvent *event, GError **error);

/** ndjson_kind() - the format's word for a kind of event, or "?". */
const char *ndjson_kind(CombEventKind kind);

/** ndjson_kind_of() - the other way; FALSE where there is none. */
gboolean ndjson_kind_of(const char *word, CombEventKind *ret_kind);

/** ndjson_post_kind() - the format's word for a post's kind, or "?". */
const char *ndjson_post_kind(CombPostKind kind);

/** ndjson_post_kind_of() - the other way; FALSE where there is none. */
gboolean ndjson_post_kind_of(const char *word, CombPostKind *ret_kind);
