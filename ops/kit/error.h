/*
 * error.h - the one GError domain
 *
 * A failure is what start-up, settings, files and the log can meet: it ends
 * what was asked, with a sentence for the operator. Foreign errors (RocksDB,
 * librdkafka, errno) become one of these where they are met.
 */
#pragma once

#include <glib.h>

typedef enum CombError {
    COMB_ERROR_SETTING,     /* a setting is missing, malformed, out of bounds */
    COMB_ERROR_IO,          /* a file, socket or library call failed */
    COMB_ERROR_FULL,        /* no space on the device */
    COMB_ERROR_CORRUPT,     /* a checksum or format is wrong */
    COMB_ERROR_MISMATCH,    /* another cell's, cluster's or version's data */
    COMB_ERROR_UNSAFE,      /* a topic's settings would lose data */
    COMB_ERROR_UNREACHABLE, /* no broker or peer answers */
    COMB_ERROR_GAP,         /* the log lacks what we need: a named stop */
    COMB_ERROR_INPUT,       /* a tool's input is wrong */
    COMB_ERROR_BUSY,        /* others have it; when they leave it may do */
} CombError;

#define COMB_ERROR comb_error_quark()
/** comb_error_quark() - the domain, by the name of COMB_ERROR. */
GQuark comb_error_quark(void);
