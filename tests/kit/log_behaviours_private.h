/*
 * log_behaviours_private.h - what the files of behaviours share
 */
#pragma once

#include "tests/kit/log_behaviours.h"

#define PARTITIONS 3

typedef struct Fixture {
    const LogUnderTest *under_test;
    LogCluster *cluster;
    LogTopic topic; /* with a name of its own */
    char *name;
} Fixture;

typedef void (*Behaviour)(Fixture *fixture);

/** log_behaviours_places.c: where consumers go on. */
void places_keep(Fixture *fixture);
void places_refuse(Fixture *fixture);
void places_survive(Fixture *fixture);

/** log_behaviours_members.c: consumers that share. */
void members_share(Fixture *fixture);
void members_begin(Fixture *fixture);
