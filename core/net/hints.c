/*
 * Names of channels, and hints on their way to the publisher.
 * Called after commits: by handlers with what they know themselves, by pg.c with what SQL functions have said.
 * Must never let a hint fail or delay what it tells of.
 */
#include "core/net/hints.h"

#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/text.h"
#include "core/crypto/seal.h"

#include <string.h>

/* Of the one secret that workers have, too. */
void hints_channel(const struct config *config, const char *scope, char out[SHA256_HEX_SIZE])
{
	struct seal seal;
	uint8_t name[SHA256_SIZE];
	seal_init(&seal, "", config->storage_secret_key, "tidegate events channel");
	seal_sign(&seal, scope, strlen(scope), name);
	hex_encode(name, sizeof(name), out);
}

const char *hints_job_scope(struct arena *arena, const char *space, const char *sub)
{
	return arena_printf(arena, "/jobs/%zu/%s/%s", strlen(space), space, sub);
}

void hints_publish(const struct hints *hints, const char *scope, const char *hint)
{
	char channel[SHA256_HEX_SIZE];
	if (!*hints->publisher->path)
		return;
	hints_channel(hints->config, scope, channel);
	enum err err = publisher_send(hints->publisher, channel, hint);
	metrics_add(err ? METRIC_HINTS_LOST : METRIC_HINTS, 1);
	if (err)
		log_write(LOG_LEVEL_WARN, "hint_lost", LOG_TEXT("reason", err_name(err)));
}

void hints_tell(void *context, const char *text)
{
	char hint[512];
	const char *end = strchr(text, '\n');
	if (!end || (size_t)(end - text) >= sizeof(hint))
		return;
	memcpy(hint, text, (size_t)(end - text));
	hint[end - text] = '\0';
	hints_publish(context, end + 1, hint);
}
