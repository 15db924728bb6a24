/* Who asks: the bearer token, its role, and the scope that every query of the request runs under. */
#ifndef TIDEGATE_FCGI_GUARD_H
#define TIDEGATE_FCGI_GUARD_H

#include "fcgi/route.h"

/* Verifies the token where the guard asks for one and fills claims and scope. PROBLEM_COUNT: may pass. */
enum problem guard_check(struct request *request, enum guard guard) MUST_USE;

/* The part of a guard that needs the body: GUARD_QUEUE verifies the signature over it and fills request->call. */
enum problem guard_check_body(struct request *request, enum guard guard) MUST_USE;

/* Is this origin one of the configured ones? */
bool guard_origin_allowed(const struct config *config, const char *origin);

#endif
