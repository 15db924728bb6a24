/*
 * Reading results: cells by position, and whole rows as JSON whose shape the statement's column aliases give.
 * Called by handlers. Must never decide what a client sees: the SQL of the statement does.
 */
#include "core/pg/pg.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

/* Type OIDs from PostgreSQL's pg_type.dat; they are fixed. */
enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_JSON = 114, OID_FLOAT8 = 701, OID_TIMESTAMPTZ = 1184, OID_NUMERIC = 1700, OID_JSONB = 3802 };

const char *pg_text(const struct pg_rows *rows, int row, int column)
{
	return PQgetisnull(rows->result, row, column) ? NULL : PQgetvalue(rows->result, row, column);
}

int64_t pg_i64(const struct pg_rows *rows, int row, int column)
{
	int64_t value = 0;
	const char *text = pg_text(rows, row, column);
	if (!text || parse_i64(text, INT64_MIN, INT64_MAX, &value))
		return 0;
	return value;
}

bool pg_bool(const struct pg_rows *rows, int row, int column)
{
	const char *text = pg_text(rows, row, column);
	return text && text[0] == 't';
}

const char *pg_number(struct arena *arena, int64_t value)
{
	const char *text = arena_printf(arena, "%lld", (long long)value);
	return text ? text : "0";
}

enum { ARRAY_MAX = 64 << 20 };

const char *pg_text_array(struct arena *arena, const char *const *items, size_t count)
{
	struct buf out;
	buf_init(&out, ARRAY_MAX);
	buf_append_char(&out, '{');
	for (size_t i = 0; i < count; i++) {
		buf_append_text(&out, i ? "," : "");
		if (!items[i]) {
			buf_append_text(&out, "NULL");
			continue;
		}
		buf_append_char(&out, '"');
		for (const char *p = items[i]; *p; p++) {
			if (*p == '"' || *p == '\\')
				buf_append_char(&out, '\\');
			buf_append_char(&out, *p);
		}
		buf_append_char(&out, '"');
	}
	buf_append_char(&out, '}');
	const char *text = out.overflowed ? NULL : arena_strdup(arena, buf_text(&out));
	buf_release(&out);
	return text;
}

/* "2026-11-21 08:47:38.12+00" (DateStyle ISO, TimeZone UTC) becomes "2026-11-21T08:47:38.12Z". */
static void put_timestamp(struct json_writer *w, const char *name, const char *text)
{
	char out[40];
	size_t n = strlen(text);
	if (n < 13 || n >= sizeof(out) || strcmp(text + n - 3, "+00") != 0) {
		json_put_text(w, name, text);
		return;
	}
	memcpy(out, text, n - 3);
	out[10] = 'T';
	out[n - 3] = 'Z';
	out[n - 2] = '\0';
	json_put_text(w, name, out);
}

static void put_cell(struct json_writer *w, const char *name, Oid type, const char *text)
{
	if (!text)
		json_put_null(w, name);
	else if (type == OID_INT8 || type == OID_INT4 || type == OID_INT2 || type == OID_JSON || type == OID_JSONB || type == OID_FLOAT8 || type == OID_NUMERIC)
		json_put_raw(w, name, text);
	else if (type == OID_BOOL)
		json_put_bool(w, name, text[0] == 't');
	else if (type == OID_TIMESTAMPTZ)
		put_timestamp(w, name, text);
	else
		json_put_text(w, name, text);
}

void pg_row_members(struct json_writer *w, const struct pg_rows *rows, int row)
{
	char group[64] = "";
	for (int column = 0; column < PQnfields(rows->result); column++) {
		const char *alias = PQfname(rows->result, column);
		if (alias[0] == '_')
			continue;
		const char *dot = strchr(alias, '.');
		size_t prefix = dot ? (size_t)(dot - alias) : 0;
		bool same = strlen(group) == prefix && memcmp(group, alias, prefix) == 0;
		if (group[0] && !same)
			json_object_close(w);
		if (prefix && !same) {
			snprintf(group, sizeof(group), "%.*s", (int)prefix, alias);
			json_object_open(w, group);
		} else if (!prefix) {
			group[0] = '\0';
		}
		put_cell(w, dot ? dot + 1 : alias, PQftype(rows->result, column), pg_text(rows, row, column));
	}
	if (group[0])
		json_object_close(w);
}

void pg_row_json(struct json_writer *w, const char *name, const struct pg_rows *rows, int row)
{
	json_object_open(w, name);
	pg_row_members(w, rows, row);
	json_object_close(w);
}
