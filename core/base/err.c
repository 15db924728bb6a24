/*
 * The table behind enum err: name, HTTP status, log level. Used by the request loop, the job loop and the commands.
 * Must never learn about a capability: a more precise answer is a problem code of fcgi/problem.def.
 */
#include "core/base/err.h"

static const struct {
	const char *name;
	int status;
	enum log_level level;
} table[ERR_COUNT] = {
    [OK] = {"ok", 200, LOG_LEVEL_DEBUG},
    [ERR_INVALID] = {"invalid", 400, LOG_LEVEL_INFO},
    [ERR_DENIED] = {"denied", 403, LOG_LEVEL_INFO},
    [ERR_NOT_FOUND] = {"not_found", 404, LOG_LEVEL_INFO},
    [ERR_CONFLICT] = {"conflict", 409, LOG_LEVEL_INFO},
    [ERR_TOO_LARGE] = {"too_large", 413, LOG_LEVEL_INFO},
    [ERR_LIMITED] = {"limited", 429, LOG_LEVEL_INFO},
    [ERR_IO] = {"io", 500, LOG_LEVEL_ERROR},
    [ERR_UNAVAILABLE] = {"unavailable", 503, LOG_LEVEL_WARN},
    [ERR_TIMEOUT] = {"timeout", 504, LOG_LEVEL_WARN},
    [ERR_LOST] = {"lost", 500, LOG_LEVEL_WARN},
    [ERR_BUG] = {"bug", 500, LOG_LEVEL_ERROR},
};

static enum err in_range(enum err err)
{
	return (unsigned)err < ERR_COUNT ? err : ERR_BUG;
}

const char *err_name(enum err err)
{
	return table[in_range(err)].name;
}

int err_http_status(enum err err)
{
	return table[in_range(err)].status;
}

enum log_level err_log_level(enum err err)
{
	return table[in_range(err)].level;
}
