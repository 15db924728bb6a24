/*
 * The one list of results. Every function that can fail returns 0 (OK) or one of these; what it produces goes out
 * through a ret_ argument that is untouched on failure. One table (err.c) maps a result to its HTTP status and log
 * level, so that no caller invents its own. A result is logged once, where it is handled.
 */
#ifndef TIDEGATE_CORE_BASE_ERR_H
#define TIDEGATE_CORE_BASE_ERR_H

enum err {
	OK = 0,
	ERR_INVALID,     /* the input is malformed or breaks a rule                     400 */
	ERR_DENIED,      /* known, but not allowed (or a signature that does not match) 403 */
	ERR_NOT_FOUND,   /* no such thing, or it belongs to someone else                404 */
	ERR_CONFLICT,    /* the state of the thing forbids it; a unique key is taken    409 */
	ERR_TOO_LARGE,   /* a documented cap was reached                                413 */
	ERR_LIMITED,     /* too many, come back later                                   429 */
	ERR_IO,          /* a system call or peer failed                                500 */
	ERR_UNAVAILABLE, /* a service we need is down                                   503 */
	ERR_TIMEOUT,     /* a deadline passed                                           504 */
	ERR_LOST,        /* the lease of a job is no longer ours: roll back and stop    500 */
	ERR_BUG,         /* an invariant of ours is broken                              500 */
	ERR_COUNT
};

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Stable lower-case name, e.g. "not_found". Never NULL, also for values out of range. */
const char *err_name(enum err err);

/* HTTP status that the result means when nothing more precise was said. */
int err_http_status(enum err err);

/* Level at which the result is logged where it is handled. */
enum log_level err_log_level(enum err err);

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#endif
