/*
 * tunnel.h - a plain socket that is TLS at its other end
 *
 * For tests of the server that are run over TLS too, as they are: where
 * COMB_TEST_CERTS names a directory of comb-certs, echo.c serves TLS and
 * peer.c connects through a tunnel. It keeps nothing back: what is not read
 * on one side is not read on the other.
 */
#pragma once

#include <glib.h>

/** tunnel_dir() - COMB_TEST_CERTS, or NULL: no TLS. */
const char *tunnel_dir(void);

/**
 * tunnel_open() - speak TLS over @fd
 *
 * Effect: a socket for plain bytes. Where TLS fails it is closed.
 * Owns:   takes @fd; the caller closes what it gets.
 */
int tunnel_open(int fd);
