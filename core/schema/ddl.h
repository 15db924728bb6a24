/*
 * PostgreSQL 15 DDL of a declaration, its fingerprint, and what information_schema must show once it is applied.
 *
 * The text is deterministic (same declaration, same bytes) and idempotent: applying it twice changes nothing. It creates
 * what is missing and never alters what is there; a table that differs from its declaration is found by comparing
 * schema_expect with information_schema.columns. It runs as tidegate_owner; the roles tidegate_api and tidegate_worker
 * must exist. Rows are visible to both roles only where the scope column equals the setting tidegate.space.
 */
#ifndef TIDEGATE_CORE_SCHEMA_DDL_H
#define TIDEGATE_CORE_SCHEMA_DDL_H

#include "core/base/buf.h"
#include "core/crypto/digest.h"
#include "core/schema/schema.h"

struct schema_expectation {
	const char *table;
	const char *column;
	const char *type; /* information_schema.columns.data_type */
	bool nullable;
};

/* Appends the DDL. ERR_TOO_LARGE when out has no room. */
enum err schema_ddl_postgres(const struct schema_app *app, struct buf *out) MUST_USE;

/* SHA-256 (hex) of the DDL: changes with anything the database would see, not with labels of fields or aliases. */
enum err schema_fingerprint(const struct schema_app *app, char out[SHA256_HEX_SIZE]) MUST_USE;

/* All columns of all tables, in declaration order. The array belongs to the arena, its texts to the app. */
enum err schema_expect(const struct schema_app *app, struct arena *arena, const struct schema_expectation **ret, size_t *ret_count) MUST_USE;

#endif
