/*
 * Log: one JSON object per line on standard error: {"time","level","event",…context…,…fields…}.
 * Context (process kind, request id, job id, worker) is set once per request or job and added here, to every line.
 * Never a secret, never a signed URL, no personal data beyond ids.
 */
#ifndef TIDEGATE_CORE_BASE_LOG_H
#define TIDEGATE_CORE_BASE_LOG_H

#include "core/base/err.h"

#include <stdint.h>

enum log_kind { LOG_KIND_END, LOG_KIND_TEXT, LOG_KIND_INT, LOG_KIND_REAL };

struct log_field {
	enum log_kind kind;
	const char *name;
	const char *text; /* NULL is written as null */
	int64_t integer;
	double real;
};

#define LOG_TEXT(name, value) ((struct log_field){LOG_KIND_TEXT, (name), (value), 0, 0})
#define LOG_INT(name, value) ((struct log_field){LOG_KIND_INT, (name), 0, (int64_t)(value), 0})
#define LOG_REAL(name, value) ((struct log_field){LOG_KIND_REAL, (name), 0, 0, (value)})

/* log_write(LOG_LEVEL_INFO, "request", LOG_INT("status", 200)); at most 4 KiB a line, longer values are cut. */
#define log_write(level, ...) log_write_fields((level), (const struct log_field[]){LOG_EVENT_(__VA_ARGS__, LOG_END_)})
#define LOG_END_ ((struct log_field){LOG_KIND_END, 0, 0, 0, 0})
#define LOG_EVENT_(event, ...) LOG_TEXT("event", event), __VA_ARGS__

void log_write_fields(enum log_level level, const struct log_field *fields);

void log_set_level(enum log_level min);
enum log_level log_level(void);
enum err log_level_parse(const char *name, enum log_level *ret) MUST_USE;

/* The process kind ("serve", "work", …) and the id of what is being done ("request", id / "job", id; NULL name ends it). */
void log_set_process(const char *kind);
void log_set_context(const char *name, const char *id);

#endif
