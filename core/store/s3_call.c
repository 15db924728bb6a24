/*
 * One call to an S3-compatible store: sign, send, judge the answer, try again where that can help. Called by the operations in
 * s3.c and s3_multipart.c. Must never send a signature twice, follow a redirect, or log a URL.
 */
#include "core/store/s3_call.h"

#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/crypto/digest.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { BASE_MS = 200, CAP_MS = 20000, SHORT_SHARE = 60, SHORT_MIN_S = 5, STALL_S = 30, BODY_MAX = 1 << 20, ERROR_MAX = 64 << 10, HEADER_LINES = S3_CALL_HEADERS + 8 };

static int64_t skew_s; /* the store's clock minus ours */

int64_t s3_now(void)
{
	return clock_unix() + skew_s;
}

static bool host_is_fine(const char *host)
{
	return *host && !host[strcspn(host, "/?#@ \t\r\n")];
}

enum err s3_open(struct arena *arena, const struct config *config, struct s3 *ret, const char **ret_why)
{
	const char *mark = strstr(config->storage_endpoint, "://");
	bool https = text_starts_with(config->storage_endpoint, "https://"), http = text_starts_with(config->storage_endpoint, "http://");
	*ret_why = "storage.endpoint must be an origin such as https://s3.example.com, without a path.";
	if (!(https || http) || !host_is_fine(mark + 3))
		return ERR_INVALID;
	*ret_why = "storage.bucket is not set, or has characters that no bucket has.";
	if (!*config->storage_bucket || strlen(config->storage_bucket) > 63 || config->storage_bucket[strspn(config->storage_bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-_ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
		return ERR_INVALID;
	*ret_why = "storage.access_key and storage.secret_key are needed.";
	if (!*config->storage_access_key || !*config->storage_secret_key)
		return ERR_INVALID;
	const char *bucket = config->storage_bucket;
	*ret = (struct s3){
	    .config = config,
	    .credentials = {config->storage_access_key, config->storage_secret_key, *config->storage_session_token ? config->storage_session_token : NULL,
	                    config->storage_region, "s3"},
	    .scheme = https ? "https" : "http",
	    .host = config->storage_virtual_host ? arena_printf(arena, "%s.%s", bucket, mark + 3) : mark + 3,
	    .base = config->storage_virtual_host ? "/" : arena_printf(arena, "/%s/", bucket),
	    .deadline_s = config->storage_deadline_s,
	    .bucket_path = config->storage_virtual_host ? "/" : arena_printf(arena, "/%s", bucket),
	};
	*ret_why = NULL;
	return ret->host && ret->base && ret->bucket_path ? OK : ERR_TOO_LARGE;
}

void s3_call_query(struct s3_call *call, const char *name, const char *value)
{
	call->query[call->query_count++] = (struct sigv4_pair){str_of(name), str_of(value)};
}

void s3_call_header(struct s3_call *call, const char *name, const char *value)
{
	call->headers[call->header_count++] = (struct sigv4_pair){str_of(name), str_of(value)};
}

const char *s3_etag(struct arena *arena, const char *value)
{
	struct str text = str_of(value);
	if (!value)
		return NULL;
	if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"')
		text = (struct str){text.p + 1, text.n - 2};
	return arena_copy(arena, text.p, text.n);
}

/* ------------------------------------------------------------------------------------------------------------- one attempt */

static bool add_line(struct arena *arena, const char **lines, size_t *count, const char *name, const char *value)
{
	if (!value)
		return true;
	lines[*count] = arena_printf(arena, "%s: %s", name, value);
	return lines[(*count)++] != NULL;
}

/* The headers to send: those of the call, and what the signature adds. */
static bool collect_lines(struct arena *arena, const struct s3_call *call, const struct sigv4_headers *signed_headers, const char **lines)
{
	size_t n = 0;
	bool fine = true;
	for (size_t i = 0; fine && i < call->header_count; i++) {
		lines[n] = arena_printf(arena, "%.*s: %.*s", (int)call->headers[i].name.n, call->headers[i].name.p, (int)call->headers[i].value.n, call->headers[i].value.p);
		fine = lines[n++] != NULL;
	}
	fine = fine && add_line(arena, lines, &n, "Authorization", signed_headers->authorization) && add_line(arena, lines, &n, "x-amz-date", signed_headers->date) &&
	       add_line(arena, lines, &n, "x-amz-content-sha256", signed_headers->content_sha256) &&
	       add_line(arena, lines, &n, "x-amz-security-token", signed_headers->security_token);
	lines[n] = NULL;
	return fine;
}

static enum err send_once(struct s3 *s3, struct arena *arena, const struct s3_call *call, int64_t left_ms, struct http_response *ret, const char **ret_why)
{
	const char *lines[HEADER_LINES];
	struct sigv4_headers signed_headers;
	char hash[SHA256_HEX_SIZE];
	const char *path = call->key ? arena_printf(arena, "%s%s", s3->base, call->key) : s3->bucket_path, *payload = call->payload_sha256;
	if (!path)
		return ERR_TOO_LARGE;
	if (!call->send_file) {
		sha256_hex(call->body.p ? call->body.p : "", call->body.n, hash);
		payload = hash;
	}
	struct sigv4_request request = {call->method, s3->host, str_of(path), call->query, call->query_count, call->headers, call->header_count};
	enum err err = sigv4_sign(arena, &s3->credentials, &request, payload, s3_now(), &signed_headers);
	if (err)
		return err;
	const char *url = arena_printf(arena, "%s://%s%s", s3->scheme, s3->host, signed_headers.target);
	if (!url || !collect_lines(arena, call, &signed_headers, lines))
		return ERR_TOO_LARGE;
	struct http_request http = {
	    .method = call->method,
	    .url = url,
	    .headers = lines,
	    .body = call->body,
	    .send_file = call->send_file,
	    .body_fd = call->fd,
	    .body_offset = call->offset,
	    .body_size = call->size,
	    .response_max = call->response_max ? call->response_max : call->sink ? SIZE_MAX : BODY_MAX,
	    .begin = call->begin,
	    .sink = call->sink,
	    .sink_context = call->context,
	    .timeout_ms = left_ms,
	    .stall_timeout_s = STALL_S,
	    .max_bytes_s = s3->config->storage_bandwidth,
	    .ca_file = *s3->config->storage_ca_file ? s3->config->storage_ca_file : NULL,
	    .allow_loopback_http = true,
	};
	return http_request(arena, &http, ret, ret_why);
}

/* ------------------------------------------------------------------------------------------------------------- what it means */

static enum err read_failure(void *context, const char *path, struct str text)
{
	struct s3_failure *failure = context;
	if (text_equal(path, "Error/Code"))
		snprintf(failure->code, sizeof(failure->code), "%.*s", (int)text.n, text.p);
	else if (text_equal(path, "Error/Message"))
		snprintf(failure->message, sizeof(failure->message), "%.*s", (int)text.n, text.p);
	return OK;
}

static void note_answer(struct s3_failure *failure, const struct http_response *response)
{
	failure->status = response->status;
	failure->code[0] = failure->message[0] = '\0';
	if (response->body.n == 0 || response->body.n > ERROR_MAX || s3_xml_each(response->body, read_failure, failure))
		snprintf(failure->message, sizeof(failure->message), "HTTP status %d", response->status);
}

static bool worth_a_retry(const struct s3_failure *failure)
{
	static const char *const codes[] = {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict"};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (text_equal(failure->code, codes[i]))
			return true;
	return failure->status == 500 || failure->status == 502 || failure->status == 503 || failure->status == 504 || failure->status == 429 ||
	       failure->status == 408;
}

static enum err meaning_of(const struct s3_failure *failure)
{
	if (worth_a_retry(failure))
		return ERR_UNAVAILABLE;
	switch (failure->status) {
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
	case 412:
		return ERR_CONFLICT;
	default:
		return ERR_INVALID;
	}
}

/* OK, or what the answer means. */
static enum err judge(struct s3 *s3, const struct s3_call *call, const struct http_response *response)
{
	bool fine = response->status >= 200 && response->status <= 299;
	if (fine && !call->error_in_200)
		return OK;
	note_answer(&s3->failure, response);
	if (fine && !s3->failure.code[0])
		return OK;
	return fine ? ERR_UNAVAILABLE : meaning_of(&s3->failure);
}

/* The store says our clock is wrong: from now on we go by its own. True: another attempt makes sense. */
static bool correct_clock(const struct s3 *s3, const struct http_response *response)
{
	const char *date = http_header(response, "date");
	time_t theirs = date ? curl_getdate(date, NULL) : -1;
	if (!text_equal(s3->failure.code, "RequestTimeTooSkewed") || theirs < 0)
		return false;
	skew_s = (int64_t)theirs - clock_unix();
	metrics_add(METRIC_STORE_CLOCK_SKEWED, 1);
	log_write(LOG_LEVEL_WARN, "store_clock", LOG_INT("secondsAhead", skew_s));
	return true;
}

/* ------------------------------------------------------------------------------------------------------------- attempts */

struct attempts {
	int64_t end_us;
	int made;      /* of this run of failures */
	bool clock_set; /* our idea of the store's clock was corrected */
};

static int64_t left_ms(const struct attempts *attempts)
{
	return (attempts->end_us - clock_monotonic_us()) / 1000;
}

/* Full jitter, at least what the store asked for. False: there is no time left for another attempt. */
static bool pause_before_next(const struct attempts *attempts, const struct http_response *response)
{
	int64_t bound = BASE_MS << (attempts->made < 8 ? attempts->made : 8), asked = 0;
	const char *after = response->status ? http_header(response, "retry-after") : NULL;
	if (bound > CAP_MS)
		bound = CAP_MS;
	int64_t wait = (int64_t)((double)bound * random_unit());
	if (after && !parse_i64(after, 0, 86400, &asked) && asked * 1000 > wait)
		wait = asked * 1000;
	if (wait >= left_ms(attempts))
		return false;
	clock_sleep_ms(wait);
	return true;
}

static enum err attempt_once(struct s3 *s3, struct arena *arena, struct s3_call *call, struct attempts *attempts, struct http_response *response)
{
	const char *why = NULL, *date;
	*response = (struct http_response){0};
	enum err err = send_once(s3, arena, call, left_ms(attempts), response, &why);
	if (!err && (date = http_header(response, "date")))
		s3->date = curl_getdate(date, NULL) > 0 ? (int64_t)curl_getdate(date, NULL) : 0;
	if (!err)
		err = judge(s3, call, response);
	else
		s3->failure = (struct s3_failure){.message = ""};
	if (why)
		snprintf(s3->failure.message, sizeof(s3->failure.message), "%s", why);
	return err;
}

/* After a failed attempt: OK when another one makes sense, and the pause before it is over; else the result. */
static enum err prepare_next(struct s3 *s3, const struct s3_call *call, struct attempts *attempts, const struct http_response *response, enum err err)
{
	int most = call->attempts ? call->attempts : S3_ATTEMPTS;
	attempts->made = call->progressed ? 1 : attempts->made + 1;
	if (err == ERR_DENIED && !attempts->clock_set && correct_clock(s3, response)) {
		attempts->clock_set = true;
		return OK;
	}
	if ((err != ERR_UNAVAILABLE && err != ERR_TIMEOUT) || attempts->made >= most || !pause_before_next(attempts, response))
		return err;
	metrics_add(METRIC_STORE_RETRIES, 1);
	return OK;
}

/* Transfers have all the time that is allowed, other calls a share of it. */
static int64_t life_of(const struct s3 *s3, const struct s3_call *call)
{
	int64_t share = s3->config->storage_deadline_s / SHORT_SHARE;
	if (call->transfer)
		return s3->deadline_s;
	return share > SHORT_MIN_S ? share : SHORT_MIN_S;
}

enum err s3_perform(struct s3 *s3, struct arena *arena, struct s3_call *call, struct http_response *ret)
{
	struct http_response response = {0};
	struct attempts attempts = {.end_us = clock_monotonic_us() + life_of(s3, call) * 1000000};
	enum err err = call->key && strlen(call->key) > S3_KEY_MAX ? ERR_TOO_LARGE : OK;
	bool done = false;
	int total = 0;
	s3->failure = (struct s3_failure){.message = ""};
	while (!err && !done) {
		err = call->before ? call->before(s3, arena, call, total, &done) : OK;
		if (err || done)
			break;
		call->progressed = false;
		err = left_ms(&attempts) > 0 ? attempt_once(s3, arena, call, &attempts, &response) : ERR_TIMEOUT;
		total++;
		done = !err;
		if (err)
			err = prepare_next(s3, call, &attempts, &response, err);
		else
			*ret = response;
	}
	s3->failure.attempts = total;
	return err;
}
