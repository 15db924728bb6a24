/*
 * Snapshots of parsers that run elsewhere: checked whole when they arrive, mirrored by the worker as the rows of a reader of our own.
 * Called by calls.c and job_import.c. Must never take a cell for anything but what it says it is.
 */
#include "handlers/sqlite/snapshot.h"

#include "core/crypto/base64.h"
#include "handlers/sqlite/handlers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES_MAX = 1000, COLUMNS_MAX = 100, NAME_MAX_BYTES = 1000, CHUNK_ARENA = 64 << 20, META_MAX = 8 << 20 };

static const char *name_of(const json_t *column)
{
	const char *name = json_is_string(column) ? json_string_value(column) : json_text(column, "name");
	return name && *name && strlen(name) <= NAME_MAX_BYTES ? name : NULL;
}

static bool decode(struct arena *arena, const char *text, struct str *ret)
{
	size_t n = strlen(text), room = BASE64_DECODED_MAX(n), length = 0;
	char *bytes = arena_alloc(arena, room);
	if (!bytes || base64_decode(text, n, bytes, room, &length))
		return false;
	*ret = (struct str){bytes, length};
	return true;
}

/* Infinity is what says so, not what is too large for a double. */
static bool read_real(const char *text, double *ret)
{
	char *end = NULL;
	*ret = strtod(text, &end);
	return *text && (*text == '-' || *text == '.' || *text > ' ') && !*end && !isnan(*ret) && (!isinf(*ret) || strpbrk(text, "iI"));
}

/* {"integer": "9007199254740993"} and the like. */
static bool read_tagged(struct arena *arena, const json_t *cell, struct value *ret)
{
	const char *text = NULL;
	if (json_object_size(cell) != 1)
		return false;
	if ((text = json_text(cell, "integer")) != NULL) {
		ret->class = VALUE_INTEGER;
		return parse_i64(text, INT64_MIN, INT64_MAX, &ret->integer) == OK;
	}
	if ((text = json_text(cell, "real")) != NULL) {
		ret->class = VALUE_REAL;
		return read_real(text, &ret->real);
	}
	ret->class = (text = json_text(cell, "blob")) != NULL ? VALUE_BLOB : VALUE_TEXT;
	if (!text)
		text = json_text(cell, "text");
	return text && decode(arena, text, &ret->bytes);
}

static bool read_cell(struct arena *arena, const json_t *cell, struct value *ret)
{
	switch (json_typeof(cell)) {
	case JSON_NULL:
		ret->class = VALUE_NULL;
		return true;
	case JSON_INTEGER:
		*ret = (struct value){.class = VALUE_INTEGER, .integer = json_integer_value(cell)};
		return true;
	case JSON_REAL:
		*ret = (struct value){.class = VALUE_REAL, .real = json_real_value(cell)};
		return true;
	case JSON_STRING:
		*ret = (struct value){.class = VALUE_TEXT, .bytes = {json_string_value(cell), json_string_length(cell)}};
		return true;
	case JSON_OBJECT:
		return read_tagged(arena, cell, ret);
	case JSON_ARRAY:
	case JSON_TRUE:
	case JSON_FALSE:
		break;
	}
	return false;
}

static bool wrong(struct request *request, struct response *response, size_t table, const char *what)
{
	refuse_field(response, PROBLEM_INVALID_FIELD, arena_printf(request->arena, "snapshot.tables[%zu].%s", table, what), "see the API");
	return false;
}

static bool check_rows(struct request *request, struct response *response, size_t t, const json_t *table)
{
	const json_t *rows = json_object_get(table, "rows"), *ids = json_object_get(table, "rowIds"), *row, *cell;
	size_t r, c, columns = json_array_size(json_object_get(table, "columns"));
	struct value value;
	json_array_foreach(rows, r, row)
	{
		if (!json_is_array(row) || json_array_size(row) != columns)
			return wrong(request, response, t, arena_printf(request->arena, "rows[%zu]", r));
		json_array_foreach(row, c, cell)
			if (!read_cell(request->arena, cell, &value))
				return wrong(request, response, t, arena_printf(request->arena, "rows[%zu][%zu]", r, c));
	}
	if (ids && (!json_is_array(ids) || json_array_size(ids) != json_array_size(rows)))
		return wrong(request, response, t, "rowIds");
	json_array_foreach(ids, r, row)
		if (!json_is_integer(row))
			return wrong(request, response, t, arena_printf(request->arena, "rowIds[%zu]", r));
	return true;
}

static bool check_table(struct request *request, struct response *response, size_t t, const json_t *table)
{
	const json_t *columns = json_object_get(table, "columns"), *column;
	size_t c;
	if (!name_of(table) || !json_is_object(table))
		return wrong(request, response, t, "name");
	if (!json_is_array(columns) || json_array_size(columns) == 0 || json_array_size(columns) > COLUMNS_MAX)
		return wrong(request, response, t, "columns");
	json_array_foreach(columns, c, column)
		if (!name_of(column))
			return wrong(request, response, t, arena_printf(request->arena, "columns[%zu]", c));
	if (!json_is_array(json_object_get(table, "rows")))
		return wrong(request, response, t, "rows");
	return check_rows(request, response, t, table);
}

bool snapshot_check(struct request *request, struct response *response, const json_t *snapshot)
{
	const json_t *tables = json_object_get(snapshot, "tables"), *table;
	size_t t;
	if (!json_is_array(tables) || json_array_size(tables) > TABLES_MAX) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "snapshot.tables", "a list of at most 1000 tables");
		return false;
	}
	json_array_foreach(tables, t, table)
		if (!check_table(request, response, t, table))
			return false;
	return true;
}

/* ---------------------------------------------------------------------------------------------------------- in the worker */

/* A table of the snapshot; its rows may come in several chunks. */
struct part {
	const char *name;
	const char *columns; /* their names and types, JSON: the same in every chunk */
	bool keyed;          /* rows have ids */
	int64_t rows, at;    /* all of them; mirrored so far */
};

struct snapshot {
	struct mirror *mirror;
	struct arena chunk; /* of one chunk */
	struct part *parts;
	size_t count;
};

static struct part *find(struct snapshot *snapshot, const char *name)
{
	for (size_t i = 0; i < snapshot->count; i++)
		if (text_equal(snapshot->parts[i].name, name))
			return &snapshot->parts[i];
	return NULL;
}

static const char *columns_text(struct arena *arena, const json_t *columns)
{
	struct buf out;
	struct json_writer w;
	const json_t *column;
	size_t c;
	buf_init(&out, META_MAX);
	json_start(&w, &out);
	json_array_open(&w, NULL);
	json_array_foreach(columns, c, column)
	{
		const char *type = json_text(column, "type");
		json_object_open(&w, NULL);
		json_put_text(&w, "name", name_of(column));
		json_put_text(&w, "type", type ? type : "");
		json_object_close(&w);
	}
	json_array_close(&w);
	const char *text = out.overflowed ? NULL : arena_copy(arena, buf_text(&out), out.len);
	buf_release(&out);
	return text;
}

/* First time through: which tables there are. */
static enum err note_table(struct snapshot *snapshot, const json_t *table)
{
	struct mirror *mirror = snapshot->mirror;
	const char *columns = columns_text(&snapshot->chunk, json_object_get(table, "columns"));
	struct part *part = find(snapshot, name_of(table));
	if (!columns)
		return ERR_TOO_LARGE;
	if (!part && snapshot->count == TABLES_MAX)
		return job_refuse(mirror->job, "parser_inconsistent");
	if (!part) {
		part = &snapshot->parts[snapshot->count++];
		*part = (struct part){arena_strdup(mirror->arena, name_of(table)), arena_strdup(mirror->arena, columns), json_object_get(table, "rowIds") != NULL, 0, 0};
	}
	if (!part->name || !part->columns)
		return ERR_TOO_LARGE;
	part->rows += (int64_t)json_array_size(json_object_get(table, "rows"));
	bool same = text_equal(part->columns, columns) && part->keyed == (json_object_get(table, "rowIds") != NULL);
	return same ? OK : job_refuse(mirror->job, "parser_inconsistent");
}

/* Second time: their rows. */
static enum err mirror_part(struct snapshot *snapshot, const json_t *table)
{
	struct mirror *mirror = snapshot->mirror;
	struct part *part = find(snapshot, name_of(table));
	const json_t *ids = json_object_get(table, "rowIds"), *cells, *cell;
	size_t r, c;
	if (!part)
		return ERR_BUG;
	enum err err = mirror_table(mirror, part - snapshot->parts, part->at, part->at);
	json_array_foreach(json_object_get(table, "rows"), r, cells)
	{
		struct value values[COLUMNS_MAX];
		json_array_foreach(cells, c, cell)
			if (!err && !read_cell(&snapshot->chunk, cell, &values[c]))
				err = ERR_BUG; /* it was checked when it came */
		if (err)
			return err;
		const struct value_row row = {(uint64_t)++part->at, json_integer_value(json_array_get(ids, r)), values};
		err = mirror_row(mirror, &row, (uint32_t)json_array_size(cells));
		if (!err && mirror->total > mirror->worker->config->sqlite_max_rows)
			err = job_refuse(mirror->job, "too_many_rows");
	}
	return err ? err : mirror_table_end(mirror, 0);
}

static enum err each_table(struct snapshot *snapshot, enum err (*visit)(struct snapshot *snapshot, const json_t *table))
{
	struct mirror *mirror = snapshot->mirror;
	for (int64_t i = 0; !mirror->job->cancelled; i++) {
		struct pg_rows rows;
		json_t *body = NULL;
		const json_t *table;
		size_t t;
		arena_reset(&snapshot->chunk);
		enum err err = pg_query(&mirror->worker->pg, &snapshot->chunk, STMT_SQLITE_CHUNK, PG_VALUES(mirror->no, pg_number(&snapshot->chunk, i)), &rows);
		if (err || rows.count == 0)
			return err;
		const char *text = pg_text(&rows, 0, 0);
		err = json_parse(&snapshot->chunk, text, strlen(text), &body, NULL);
		json_array_foreach(json_object_get(body, "tables"), t, table)
			if (!err)
				err = visit(snapshot, table);
		if (err)
			return err;
	}
	return OK;
}

static const char *meta_of(const struct snapshot *snapshot)
{
	struct buf out;
	struct json_writer w;
	buf_init(&out, META_MAX);
	json_start(&w, &out);
	json_object_open(&w, NULL);
	json_put_text(&w, "format", "snapshot");
	json_array_open(&w, "tables");
	for (size_t i = 0; i < snapshot->count; i++) {
		const struct part *part = &snapshot->parts[i];
		json_object_open(&w, NULL);
		json_put_text(&w, "name", part->name);
		json_put_text(&w, "key", part->keyed ? "rowid" : "primary_key");
		json_put_i64(&w, "estimatedRows", part->rows);
		json_put_raw(&w, "columns", part->columns);
		json_object_close(&w);
	}
	json_array_close(&w);
	json_object_close(&w);
	const char *text = out.overflowed ? NULL : arena_copy(snapshot->mirror->arena, buf_text(&out), out.len);
	buf_release(&out);
	return text;
}

/* What an interrupted run has mirrored is made again: chunks come out of the database as fast as rows go in. */
static enum err run(struct snapshot *snapshot)
{
	struct mirror *mirror = snapshot->mirror;
	enum err err = pg_query(&mirror->worker->pg, mirror->arena, STMT_SQLITE_REMIRROR, PG_VALUES(mirror->no), NULL);
	if (!err)
		err = each_table(snapshot, note_table);
	if (err)
		return err;
	const char *meta = meta_of(snapshot);
	err = meta ? mirror_tables(mirror, meta) : ERR_TOO_LARGE;
	if (!err)
		err = sqlite_check_profile(mirror);
	return err ? err : each_table(snapshot, mirror_part);
}

enum err snapshot_mirror(struct mirror *mirror)
{
	struct snapshot snapshot = {.mirror = mirror, .parts = arena_array(mirror->arena, TABLES_MAX, sizeof(struct part))};
	if (!snapshot.parts)
		return ERR_TOO_LARGE;
	mirror->total = 0;
	arena_init(&snapshot.chunk, CHUNK_ARENA);
	enum err err = run(&snapshot);
	arena_release(&snapshot.chunk);
	return err;
}
