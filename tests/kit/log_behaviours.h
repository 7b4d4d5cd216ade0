/*
 * log_behaviours.h - what every log driver does, as one table of tests
 *
 * tests/unit/test_log.c runs it over the memory and the local driver,
 * tests/kit/log_check.c over a real Kafka broker.
 */
#pragma once

#include "firehose/log.h"

typedef struct LogUnderTest {
    const char *driver;                 /* in the tests' names */
    LogCluster *(*open)(gpointer data); /* opens the cluster, again too */
    gpointer data;                      /* for open() */
    gboolean durable;   /* records are there after a reopening */
    guint reads_to_all; /* after so many reads of one record, of three
                           partitions that have many, each was seen */
} LogUnderTest;

/* An append's outcome, awaited. Zero at first. */
typedef struct LogAnswer {
    gsize n;
    LogAck *acks; /* reasons are copies */
} LogAnswer;

/** log_behaviours_add() - register the tests. @under_test: borrowed. */
void log_behaviours_add(const LogUnderTest *under_test);

/** log_append_wait() - append and wait for the answer. */
void log_append_wait(Log *log, const LogEntry *entries, gsize n,
                     LogAnswer *ret_answer);
void log_answer_clear(LogAnswer *answer);

/** log_put() - append one record; it must be taken. Returns its offset. */
guint64 log_put(Log *log, guint partition, const char *key, const char *value);

/** log_must_open() - open a topic; it must work. */
Log *log_must_open(LogCluster *cluster, const LogTopic *topic);

/** log_must_read() - open a reader at @next (NULL: zeros); it must work. */
LogReader *log_must_read(Log *log, const guint64 *next);

/** log_read_stop() - read until the reader stops, for that reason. */
void log_read_stop(LogReader *reader, gint code);
