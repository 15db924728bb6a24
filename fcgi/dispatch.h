/*
 * From a parsed request to a finished response: CORS, route, guard, body, idempotency, transaction, handler.
 */
#ifndef TIDEGATE_FCGI_DISPATCH_H
#define TIDEGATE_FCGI_DISPATCH_H

#include "fcgi/route.h"

/* Answers one request completely (also every failure). allow_seconds is told how long the route may take before it runs. */
void dispatch(struct request *request, struct response *response, const struct route_table *tables, size_t table_count,
              void (*allow_seconds)(struct gate *gate, unsigned seconds));

#endif
