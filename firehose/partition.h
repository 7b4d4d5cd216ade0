/*
 * partition.h - which partition a user's events go to
 *
 * Kafka's default for Java producers, so that anybody's producer agrees:
 * (murmur2(key) & 0x7fffffff) mod partitions, key = the acting user's id as 8
 * big-endian bytes (Java's LongSerializer).
 * Source: org.apache.kafka.common.utils.Utils.murmur2.
 */
#pragma once

#include "thrift/id.h"

#define PARTITION_KEY_BYTES 8

/** partition_key() - the record key of @user. */
void partition_key(UserId user, guint8 ret_key[PARTITION_KEY_BYTES]);

/** partition_of() - the partition of a record with this key. */
guint partition_of(const void *key, gsize len, guint partitions);
