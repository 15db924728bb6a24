/*
 * backup.heartbeat: calls the operator's heartbeat service when a run of the schedule begins, succeeds or fails, so that somebody notices when nothing calls any
 * more. The convention is that of healthchecks.io: URL/start, URL, URL/fail, with rid=RUN; or three URLs of their own. Queued in the transaction of what it
 * tells (tidegate.backup_beat), tried again by the queue. Must never log a URL, of which a part is the secret, nor tell what was overtaken.
 */
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/base/version.h"
#include "handlers/backups/handlers.h"

#include <string.h>

enum { ANSWER_MAX = 4096 };

static const struct beat {
	const char *what, *option, *suffix;
} beats[] = {
    {"start", "backups.heartbeat_start", "/start"},
    {"success", "backups.heartbeat_success", ""},
    {"fail", "backups.heartbeat_fail", "/fail"},
};

enum { BEATS = sizeof(beats) / sizeof(beats[0]) };

static const char *own_url(const struct config *config, size_t beat)
{
	const char *const urls[BEATS] = {config->backups_heartbeat_start, config->backups_heartbeat_success, config->backups_heartbeat_fail};
	return urls[beat];
}

/* NULL: nobody is to be called. */
static const char *url_of(struct arena *arena, const struct config *config, size_t beat, const char *run)
{
	const char *base = config->backups_heartbeat;
	size_t path = strcspn(base, "?"), end = path;
	if (*own_url(config, beat))
		return own_url(config, beat);
	if (!*base)
		return NULL;
	while (end && base[end - 1] == '/')
		end--;
	return arena_printf(arena, "%.*s%s%s%crid=%s", (int)end, base, beats[beat].suffix, base + path, base[path] ? '&' : '?', run);
}

const char *backup_heartbeat_refused(struct arena *arena, const struct config *config, const struct outgoing *outgoing)
{
	for (size_t i = 0; i < BEATS; i++) {
		const char *url = url_of(arena, config, i, "run");
		if (url && outgoing_check(outgoing, url, NULL) != OUTGOING_OK)
			return *own_url(config, i) ? beats[i].option : "backups.heartbeat";
	}
	return NULL;
}

/* Success is 2xx; whatever else is tried again. */
static enum err call(const struct config *config, struct arena *arena, struct job *job, const char *url, const char *said)
{
	static const char *const headers[] = {"Content-Type: text/plain; charset=utf-8", "User-Agent: Tidegate/" TIDEGATE_VERSION, NULL};
	struct outgoing outgoing;
	struct http_response response = {0};
	char host[OUTGOING_HOST_SIZE] = "";
	const char *why = NULL;
	struct http_request request = {
	    .method = "POST", .url = url, .headers = headers, .body = str_of(said), .response_max = ANSWER_MAX, .cut_response = true, .timeout_ms = config->webhooks_timeout_s * 1000};
	enum err err = outgoing_init(arena, config->webhooks_allow_networks, config->webhooks_allow_ports, config->webhooks_ca_file, &outgoing, &why);
	if (!err && outgoing_check(&outgoing, url, host) != OUTGOING_OK)
		return job_refuse(job, "url_not_allowed");
	if (err)
		return err;
	outgoing_guard(&outgoing, &request);
	err = http_request(arena, &request, &response, &why);
	if (!err && response.status >= 200 && response.status <= 299)
		return OK;
	log_write(LOG_LEVEL_WARN, "heartbeat_failed", LOG_TEXT("host", host), LOG_INT("status", response.status), LOG_TEXT("reason", why));
	job_refuse(job, "heartbeat_failed");
	return ERR_UNAVAILABLE;
}

enum err backup_heartbeat_run(struct worker *worker, struct arena *arena, struct job *job)
{
	const char *run = json_text(job->args, "run"), *what = json_text(job->args, "what"), *url = NULL;
	struct pg_rows rows;
	size_t beat = 0;
	while (beat < BEATS && !text_equal(beats[beat].what, what))
		beat++;
	if (!run || beat == BEATS)
		return ERR_BUG;
	enum err err = pg_query(&worker->pg, arena, STMT_BACKUP_BEAT_DUE, PG_VALUES(run, what), &rows);
	if (!err && rows.count)
		url = url_of(arena, worker->config, beat, run);
	if (!err && url)
		err = call(worker->config, arena, job, url, pg_text(&rows, 0, 0));
	return err ? err : job_end(worker, arena, job, "done");
}
