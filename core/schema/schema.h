/*
 * A declaration (schema/NAME.json) as plain C structures: the tables of one app, their columns, keys, indexes, and which
 * columns an import may fill. Everything that must agree with a table is made from these structures: the PostgreSQL DDL
 * (ddl.h), the statements of an import (statements.h), the column mapping and the checks of imported rows.
 * docs/schema.md describes the JSON.
 *
 * Invariants of a loaded app: names are valid identifiers and unique where they must be; every pointer to a column, table
 * or field leads into the same app; a referenced table stands before the table that refers to it, unless both are synced; every label has
 * both languages; nothing in it changes after the load, so any number of readers may share it.
 *
 * Life cycle: schema_load into an arena; the app lives as long as the arena does and is never freed singly.
 */
#ifndef TIDEGATE_CORE_SCHEMA_SCHEMA_H
#define TIDEGATE_CORE_SCHEMA_SCHEMA_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEMA_FILE_MAX (1 << 20) /* bytes of a declaration */
#define SCHEMA_TABLES_MAX 64
#define SCHEMA_COLUMNS_MAX 128
#define SCHEMA_FIELDS_MAX 64  /* importable fields of one table */
#define SCHEMA_KEYS_MAX 8     /* dedupe keys of one import target; columns of one index, key or reference */
#define SCHEMA_LIST_MAX 256   /* aliases, values, indexes */
#define SCHEMA_SYNC_KEYS_MAX 4 /* columns of the key of a synced table */
#define SCHEMA_SYNC_NAME_MAX 40 /* bytes of its name: constraints are named after it */

enum schema_type {
	SCHEMA_TEXT,
	SCHEMA_UUID,
	SCHEMA_INTEGER,
	SCHEMA_BIGINT,
	SCHEMA_DOUBLE,
	SCHEMA_NUMERIC,
	SCHEMA_BOOLEAN,
	SCHEMA_DATE,
	SCHEMA_TIMESTAMPTZ,
	SCHEMA_JSONB,
	SCHEMA_TYPE_COUNT
};

/* Where a value comes from when the writer gives none (UUID, NOW, IDENTITY) or may give none (LOWER, LABEL: stored generated columns). */
enum schema_generate {
	SCHEMA_GENERATE_NONE,
	SCHEMA_GENERATE_UUID,
	SCHEMA_GENERATE_NOW,
	SCHEMA_GENERATE_IDENTITY,
	SCHEMA_GENERATE_LOWER, /* lower(source), ASCII letters only */
	SCHEMA_GENERATE_LABEL  /* French label of the source's value */
};

enum schema_access { SCHEMA_ACCESS_FULL, SCHEMA_ACCESS_APPEND };
enum schema_index_kind { SCHEMA_INDEX_BTREE, SCHEMA_INDEX_HASH, SCHEMA_INDEX_TRIGRAM };
enum schema_on_delete { SCHEMA_DELETE_RESTRICT, SCHEMA_DELETE_CASCADE, SCHEMA_DELETE_SET_NULL };
enum schema_language { SCHEMA_FRENCH, SCHEMA_ENGLISH };

struct schema_labels {
	const char *fr;
	const char *en;
};

struct schema_texts {
	const char **items;
	size_t count;
};

/* One allowed value of a column with a closed list. */
struct schema_value {
	const char *value;
	struct schema_labels labels;
	struct schema_texts aliases;
};

struct schema_field;

struct schema_column {
	const char *name;
	enum schema_type type;
	bool nullable;
	bool required;             /* of a synced table: filled in every row that is not deleted (its tombstone has nothing) */
	int64_t since;             /* version of the app in which it came */
	bool collate_c;            /* text compared byte by byte: keys, ids, codes */
	const char *default_value; /* literal without quotes, NULL for none */
	enum schema_generate generate;
	const struct schema_column *source; /* of LOWER and LABEL */
	int64_t max_length;                 /* characters, 0 for no limit */
	bool has_minimum, has_maximum;
	int64_t minimum, maximum; /* of numbers */
	struct schema_value *values;
	size_t value_count;
	struct schema_labels labels;
	const struct schema_field *field; /* NULL where an import may not write */
};

/* An importable column as an import sees it. `index` is the place in the table's `fields`; vals[index + 1] in staged rows. */
struct schema_field {
	size_t index;
	const char *name; /* as the API spells it: firstName */
	const struct schema_column *column;
	struct schema_texts aliases;
	const char *normalise; /* name of a normaliser, never NULL; handlers/import knows them */
	const char *validate;  /* name of a validator or NULL */
	int64_t max;           /* characters, 0 for no limit */
	bool warn;             /* a value that fails is left out with a warning; the row stays valid */
	bool keep;             /* an update leaves the stored value alone */
};

struct schema_index {
	const char *name;
	enum schema_index_kind kind;
	bool unique;
	size_t count;
	const struct schema_column *columns[SCHEMA_KEYS_MAX];
	bool descending[SCHEMA_KEYS_MAX];
	size_t null_count, not_null_count; /* the rows it covers: these columns are null, those are not */
	const struct schema_column *null[SCHEMA_KEYS_MAX];
	const struct schema_column *not_null[SCHEMA_KEYS_MAX];
};

struct schema_table;

struct schema_reference {
	const struct schema_table *table;
	size_t count;
	const struct schema_column *from[SCHEMA_KEYS_MAX];
	const struct schema_column *to[SCHEMA_KEYS_MAX];
	enum schema_on_delete on_delete;
	const struct schema_column *clear; /* the one column that SET NULL clears; NULL means all of them */
};

/* A group of fields of which at least one must be filled; `code` is the row code reported otherwise. */
struct schema_group {
	const char *code;
	size_t count;
	const struct schema_field *fields[SCHEMA_KEYS_MAX];
};

/* A stored row with the same value in `column` is a duplicate. In order of priority. */
struct schema_key {
	const struct schema_field *field;
	const struct schema_column *column; /* what is indexed and compared: the field's own column or one made from it */
};

struct schema_import {
	size_t group_count;
	struct schema_group groups[SCHEMA_KEYS_MAX];
	size_t key_count;
	struct schema_key keys[SCHEMA_KEYS_MAX];
	const struct schema_column *job;     /* takes the job id, or NULL */
	const struct schema_column *deleted; /* rows where it is set are not duplicates, or NULL */
	const struct schema_column *touched; /* an update sets it to the present, or NULL */
	const char *history; /* table of the app that keeps what happened to a record, or NULL (docs/schema.md has its columns) */
	const struct schema_field *assigned; /* takes $6 (statements.h), or NULL; likewise: */
	const struct schema_field *status;
	const struct schema_field *source;
};

/* Whose rows a synced table holds: the user's own, those of the space of the token, or everybody's (written by the operator alone). */
enum schema_sync_scope { SCHEMA_SYNC_SUB, SCHEMA_SYNC_SPACE, SCHEMA_SYNC_CATALOGUE };

/*
 * What makes a table a synced one. Behind its own columns stand those that the loader adds: sync_scope (but for a catalogue),
 * last_modified_at (microseconds since 1970), device_id, deleted, server_seq. The primary key is sync_scope and the declared key.
 */
struct schema_sync {
	enum schema_sync_scope scope;
	int64_t since; /* version of the app in which the table came */
	size_t own_count; /* the first so many columns of the table are its own */
	size_t key_count;
	const struct schema_column *key[SCHEMA_SYNC_KEYS_MAX];
	size_t value_count;
	const struct schema_column **values; /* its own columns that are not in the key, in order */
};

struct schema_table {
	const char *name;
	struct schema_labels labels;
	enum schema_access access;
	const struct schema_column *scope; /* the column of row-level security; NULL for a catalogue */
	const struct schema_column *display; /* what people call a record, or NULL */
	struct schema_column *columns;
	size_t column_count;
	size_t primary_count;
	const struct schema_column *primary[SCHEMA_KEYS_MAX];
	struct schema_index *indexes;
	size_t index_count;
	struct schema_reference *references;
	size_t reference_count;
	struct schema_field *fields;
	size_t field_count;
	struct schema_import *import; /* NULL for a table that is no import target */
	struct schema_sync *sync;     /* NULL for a table that is not synced */
};

struct schema_app {
	const char *name; /* also the PostgreSQL schema */
	struct schema_table *tables;
	size_t table_count;
	int64_t version, oldest; /* of the synced tables: the present one, and the oldest that clients may still have */
	const struct schema_table **synced; /* parents first, as far as there is no cycle */
	size_t synced_count;
	enum schema_sync_scope sync_scope; /* of all synced tables that are no catalogue */
	bool has_catalogue;
};

/*
 * Loads and checks a declaration. ERR_INVALID (the declaration is wrong), ERR_TOO_LARGE (arena or a limit above),
 * ERR_IO / ERR_NOT_FOUND (schema_load_file). On failure *ret_why is a sentence that starts with the place, e.g.
 * "tables.lead.columns[3].typo: unknown member"; it belongs to the arena (or is a literal) and is never NULL.
 */
enum err schema_load(struct arena *arena, const char *json, size_t n, const struct schema_app **ret, const char **ret_why) MUST_USE;
enum err schema_load_file(struct arena *arena, const char *path, const struct schema_app **ret, const char **ret_why) MUST_USE;

/* Lookups by name; NULL when there is none. Linear: names are looked up at start or once per job. */
const struct schema_table *schema_table_of(const struct schema_app *app, const char *name);
const struct schema_column *schema_column_of(const struct schema_table *table, const char *name);
const struct schema_field *schema_field_of(const struct schema_table *table, const char *name);

const char *schema_label(const struct schema_labels *labels, enum schema_language language);

/* Type as the declaration spells it ("timestamptz") / as PostgreSQL and information_schema print it. */
const char *schema_type_name(enum schema_type type);
const char *schema_type_postgres(enum schema_type type);

#endif
