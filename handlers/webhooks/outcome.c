/*
 * Judges answers. Called by courier.c for every exchange that has ended. Pure: no clock, no random number of its own.
 * Must never take anything but 2xx for a delivery, nor let a receiver put an event off for ever.
 */
#include "handlers/webhooks/outcome.h"

#include "core/base/clock.h"

/* Seconds from one attempt to the next (Standard Webhooks); the first comes at once. Three days and a few hours in all. */
static const int64_t waits_s[WEBHOOK_ATTEMPTS] = {0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};

static const char *const failure_codes[] = {
    [HTTP_FAILURE_NONE] = "http_status",
    [HTTP_FAILURE_REQUEST] = "not_sent",
    [HTTP_FAILURE_ADDRESS] = "address_denied",
    [HTTP_FAILURE_NAME] = "name_not_found",
    [HTTP_FAILURE_CONNECTION] = "connection_failed",
    [HTTP_FAILURE_TLS] = "tls_failed",
    [HTTP_FAILURE_TIMEOUT] = "timeout",
    [HTTP_FAILURE_ANSWER] = "not_http",
};

static const char *code_of(const struct http_done *done)
{
	int status = done->response.status;
	if (done->failure != HTTP_FAILURE_NONE)
		return failure_codes[done->failure];
	if (status == 410)
		return "gone";
	return status >= 300 && status <= 399 ? "redirect" : "http_status";
}

/* Seconds, or an HTTP date; 0 when there is none that makes sense. */
static int64_t retry_after_s(const struct http_done *done, int64_t now)
{
	int status = done->response.status;
	const char *text = http_header(&done->response, "retry-after");
	int64_t seconds = 0;
	if (!text || (status != 429 && status != 502 && status != 503 && status != 504))
		return 0;
	if (parse_i64(text, 0, INT64_MAX / 2, &seconds)) {
		if (clock_parse_http_date(text, &seconds))
			return 0;
		seconds -= now;
	}
	if (seconds < 0)
		return 0;
	return seconds > WEBHOOK_RETRY_AFTER_MAX_S ? WEBHOOK_RETRY_AFTER_MAX_S : seconds;
}

/* A tenth more or less, so that what failed together does not come back together. */
static int64_t wait_ms(int64_t attempts, double jitter, int64_t percent)
{
	return (int64_t)((double)(waits_s[attempts] * 10 * percent) * (0.9 + jitter / 5));
}

struct webhook_outcome webhook_judge(const struct http_done *done, int64_t attempts, int64_t now, double jitter, int64_t percent)
{
	int status = done->failure == HTTP_FAILURE_NONE ? done->response.status : 0;
	if (status >= 200 && status <= 299)
		return (struct webhook_outcome){.state = "succeeded", .health = WEBHOOK_WELL};
	struct webhook_outcome outcome = {.state = "failed", .error = code_of(done), .health = WEBHOOK_BADLY, .gone = status == 410};
	if (outcome.gone)
		return outcome;
	const char *wish = status ? http_header(&done->response, "webhook-delivery") : NULL;
	if (wish && str_equal_ignore_case(str_of(wish), "abort-message")) {
		outcome.error = "aborted";
		outcome.health = WEBHOOK_SAYS_NOTHING;
		return outcome;
	}
	outcome.pause_ms = status ? retry_after_s(done, now) * 1000 : 0;
	if (attempts + 1 >= WEBHOOK_ATTEMPTS)
		return outcome;
	outcome.state = "pending";
	outcome.delay_ms = wait_ms(attempts + 1, jitter, percent);
	if (outcome.delay_ms < outcome.pause_ms)
		outcome.delay_ms = outcome.pause_ms;
	return outcome;
}
