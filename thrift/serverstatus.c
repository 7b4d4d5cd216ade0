/*
 * serverstatus.c - see serverstatus.h
 */
#include "thrift/serverstatus.h"

void
serverstatus_tell(Server *server, Section *section)
{
    ServerStats stats;

    server_stats(server, &stats);
    section->has_server = TRUE;
    section->connections = (SectionConnections){
        .open = stats.connections,
        .max = server_connections_max(server),
        .accepted = stats.accepted,
        .refused = stats.refused,
        .faulty = stats.bad_frames + stats.tls_faults,
        .stalled = stats.stalled,
    };
    section_fact(section, "Calls of unknown methods", "%" G_GUINT64_FORMAT,
                 stats.unknown_methods);
    section_fact(section, "Calls not permitted", "%" G_GUINT64_FORMAT,
                 stats.denied);
    section_fact(section, "Calls refused, overloaded", "%" G_GUINT64_FORMAT,
                 stats.overloaded);
}
