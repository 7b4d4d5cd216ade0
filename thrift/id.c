#include "thrift/id.h"

#include "ops/kit/ensure.h"

#include <xxhash.h>

gint64
id_make(gint64 ms, guint sequence, guint node)
{
    ensure(ms >= 0 && ms < (G_GINT64_CONSTANT(1) << 42));
    ensure(sequence <= ID_SEQUENCE_MAX && node <= ID_NODE_MAX);
    return (ms << (ID_SEQUENCE_BITS + ID_NODE_BITS)) |
           ((gint64)sequence << ID_NODE_BITS) | (gint64)node;
}

gint64
id_ms(gint64 id)
{
    return id >> (ID_SEQUENCE_BITS + ID_NODE_BITS);
}

UserId
id_of_name(const char *name, gsize len)
{
    gint64 v = (gint64)(XXH64(name, len, 0) & G_MAXINT64);
    return (UserId){v != 0 ? v : 1};
}
