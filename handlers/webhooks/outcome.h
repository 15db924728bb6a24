/*
 * What the answer of a receiver means: is the event delivered, is it tried again and when, and how is the endpoint doing.
 * The schedule stands in outcome.c, once.
 */
#ifndef TIDEGATE_HANDLERS_WEBHOOKS_OUTCOME_H
#define TIDEGATE_HANDLERS_WEBHOOKS_OUTCOME_H

#include "core/net/http_many.h"

enum {
	WEBHOOK_ATTEMPTS = 10,           /* then a delivery has failed */
	WEBHOOK_RETRY_AFTER_MAX_S = 3600 /* of what a receiver may ask for */
};

enum webhook_health { WEBHOOK_BADLY = -1, WEBHOOK_SAYS_NOTHING = 0, WEBHOOK_WELL = 1 };

struct webhook_outcome {
	const char *state; /* succeeded, pending (again), failed (for good) */
	const char *error; /* of failures.def; NULL when it succeeded */
	int64_t delay_ms;  /* until the next attempt, when pending */
	int64_t pause_ms;  /* the least time that the receiver wants to be left alone; 0: it did not say */
	enum webhook_health health;
	bool gone; /* the endpoint is to be disabled at once */
};

/*
 * attempts: those made before this one. now: Unix seconds, for a Retry-After that is a date. jitter: [0, 1). percent: scale of the
 * schedule (not of Retry-After).
 */
struct webhook_outcome webhook_judge(const struct http_done *done, int64_t attempts, int64_t now, double jitter, int64_t percent);

#endif
