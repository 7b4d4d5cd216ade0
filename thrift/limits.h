/*
 * limits.h - the bounds of types.thrift for code that sees no generated type
 *
 * tests/unit/test_limits.c holds them equal to the IDL's constants.
 */
#pragma once

#define PAGE_LIMIT_DEFAULT 20
#define PAGE_LIMIT_MAX 100
#define POSTS_MAX 100
#define BODY_BYTES_MAX 65536
#define TAGS_MAX 30
#define TAG_BYTES_MAX 140
#define BATCH_EVENTS_MAX 1000
#define IDS_MAX 10000
#define FETCH_EVENTS_DEFAULT 100
#define FETCH_EVENTS_MAX 1000
#define FETCH_AUTHORS_MAX 1000
#define CLIENT_ID_BYTES_MAX 100
#define AT_LEAST_MAX 1000
#define AT_LEAST_WAIT_MS_MAX 10000
#define QUARANTINE_MAX 100
#define FRAME_BYTES_MAX 16777216
#define SLOTS 4096
#define CELL_MAX 4095
