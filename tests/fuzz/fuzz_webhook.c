/*
 * Fuzz target: what strangers have to do with webhooks. The input is tried as a URL (one that is let through must not be, for
 * whoever reads it as an address, one of a private network), as the answer of a receiver, as a Retry-After, and as the headers and body that
 * a verifier gets.
 * Seeds: tests/fuzz/seeds/webhook/.
 */
#include "core/base/clock.h"
#include "core/crypto/webhook_signature.h"
#include "core/net/outgoing.h"
#include "handlers/webhooks/message.h"
#include "handlers/webhooks/outcome.h"

#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The C library reads every odd form of an address that there is: 0x7f.1, 017700000001 … */
static void must_be_public(char *host)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	size_t n = 0;

	*strrchr(host, ':') = '\0';
	n = strlen(host);
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		host++;
	}
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return;
	if (!address_is_public(found->ai_addr))
		abort();
	freeaddrinfo(found);
}

static void try_url(struct arena *arena, const char *text)
{
	static const struct outgoing nowhere = {.port_count = 0};
	struct outgoing lists = {.port_count = 0};
	char host[OUTGOING_HOST_SIZE] = "";
	const char *why = NULL;

	if (outgoing_check(&nowhere, text, host) == OUTGOING_OK)
		must_be_public(host);
	/* A list that is taken holds something, unless it is blank. */
	bool blank = strspn(text, " ") == strlen(text);
	if (outgoing_init(arena, text, "", "", &lists, &why) == OK && (lists.networks.v4_count + lists.networks.v6_count == 0) != blank)
		abort();
	if (outgoing_init(arena, "", text, "", &lists, &why) == OK && (lists.port_count == 0) != blank)
		abort();
}

static void try_answer(struct arena *arena, const char *text, size_t size)
{
	const struct http_header headers[] = {{"retry-after", text}, {"webhook-delivery", text}};
	struct http_done done = {.response = {.status = 503, .headers = headers, .header_count = 2}};
	const struct webhook_outcome outcome = webhook_judge(&done, 3, NOW, 0.5, 100);
	const char *kept = webhook_response_text(arena, (struct str){text, size < WEBHOOK_RESPONSE_MAX ? size : WEBHOOK_RESPONSE_MAX});
	int64_t value = 0;

	if (outcome.pause_ms < 0 || outcome.pause_ms > (int64_t)WEBHOOK_RETRY_AFTER_MAX_S * 1000 || outcome.delay_ms < 0)
		abort();
	if (kept != NULL && !utf8_valid(kept, strlen(kept)))
		abort();
	if (clock_parse_iso8601(text, &value) == OK && (value < INT64_MIN / 2 || value > INT64_MAX / 2))
		abort();
}

/* Nothing that a stranger writes is signed by this key. */
static void try_verifier(const char *text, size_t size)
{
	struct webhook_key key = {.n = 0};
	struct webhook_key parsed = {.n = 0};
	const struct webhook_received received[] = {
		{"evt_1", "1700000000", text, {text, size}},
		{text, text, text, {text, size}},
	};

	if (webhook_key_parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", &key) != OK)
		abort();
	for (size_t i = 0; i < 2; i++) {
		if (webhook_verify(&key, &received[i], NOW) == WEBHOOK_OK)
			abort();
	}
	if (webhook_key_parse(text, &parsed) == OK && (parsed.n < WEBHOOK_KEY_MIN || parsed.n > WEBHOOK_KEY_MAX))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;

	arena_init(&arena, 4 << 20);
	char *text = arena_copy(&arena, (const char *)data, size);
	if (text != NULL) {
		try_url(&arena, text);
		try_answer(&arena, text, size);
		try_verifier(text, size);
	}
	arena_release(&arena);
	return 0;
}
