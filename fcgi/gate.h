/*
 * What a request process holds for its whole life: configuration, database connection, keys, declarations. Made once by
 * `tidegate serve`, handed to every request. Handlers read it; only the loop and `serve` change it.
 */
#ifndef TIDEGATE_FCGI_GATE_H
#define TIDEGATE_FCGI_GATE_H

#include "core/base/config.h"
#include "core/crypto/jwks.h"
#include "core/crypto/queue_signature.h"
#include "core/crypto/sigv4.h"
#include "core/net/outgoing.h"
#include "core/net/hints.h"
#include "core/pg/pg.h"
#include "core/schema/catalog.h"

struct job_care_table;
struct request;
struct buf;

struct gate {
	const struct config *config;
	struct pg pg;
	struct jwks jwks;
	struct jwt_policy policy;
	struct queue_keys queue_keys;
	struct sigv4_credentials storage_credentials;
	struct schema_catalog catalog;
	struct outgoing webhooks; /* where they may go */
	struct publisher publisher; /* of hints */
	struct hints hints;
	const struct job_care_table *job_care; /* of every capability */
	size_t job_care_count;
	/* What capabilities add to GET /metrics, handed down by `tidegate serve`: whole families of Prometheus text, or nothing. */
	enum err (*const *figures)(struct request *request, struct buf *out);
	size_t figure_count;
};

#endif
