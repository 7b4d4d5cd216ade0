/*
 * allow.h - who may call what
 *
 * A file in GKeyFile's form: a group for each identity (tls.h says what that
 * is), a key for each service, its methods or * for all of them:
 *
 *     [spiffe://example.org/web]
 *     Dashboard=getDashboard;getTimeline
 *
 *     [operator]
 *     Dashboard=*
 *     Cell=*
 *     Firehose=getCellMap;setCellMap
 *
 * What the file does not say may not be done. A service or method that does
 * not exist is an error, so that a misspelt one is not taken for a rule.
 */
#pragma once

#include <glib.h>

/* Read once, never changed. */
typedef struct Allow Allow;

/**
 * allow_load() - read the table
 *
 * Owns:  the caller; allow_free().
 * Fails: COMB_ERROR_SETTING with the file and what is wrong in it, NULL.
 */
Allow *allow_load(const char *path, GError **error);

/**
 * allow_has() - whether @identity may call @method
 *
 * @identity: NULL: nobody, who may call nothing.
 * Thread:    any.
 */
gboolean allow_has(const Allow *allow, const char *identity,
                   const char *method);

/** allow_free() - free the table; NULL is fine. */
void allow_free(Allow *allow);

/**
 * allow_methods() - every method of every service, as "Service.method"
 *
 * Effect: the table to hold against the IDL; ends with NULL. Static.
 */
const char *const *allow_methods(void);
