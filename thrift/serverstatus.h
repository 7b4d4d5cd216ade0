/*
 * serverstatus.h - a server, on the status page of its daemon
 */
#pragma once

#include "ops/kit/status.h"
#include "thrift/server.h"

/** serverstatus_tell() - its connections. Thread: any. */
void serverstatus_tell(Server *server, Section *section);
