/*
 * The accept loop of a request process: one request at a time on descriptor 0 (or another listening unix socket).
 *
 * Signals: SIGTERM and SIGINT end the loop, deliverable only while waiting for a connection, so a request is never cut
 * short. SIGALRM is the watchdog: a request that takes too long ends the process with exit code 70.
 */
#ifndef TIDEGATE_FCGI_LOOP_H
#define TIDEGATE_FCGI_LOOP_H

#include "fcgi/gate.h"
#include "fcgi/route.h"

enum { LOOP_EXIT_WATCHDOG = 70 };

/* Serves until told to stop, max_requests are served, or idle_exit_s pass. ERR_IO when the descriptor is no listening socket. */
enum err loop_run(struct gate *gate, int listen_fd, const struct route_table *tables, size_t table_count) MUST_USE;

#endif
