/*
 * PUT …/mapping: from the client's per-column form to the stored per-field form.
 * Must never accept a column or field twice: later readers rely on a mapping being one to one.
 */
#include "handlers/import/mapping_change.h"

#include "fcgi/fields.h"
#include "handlers/import/check_codes.h"

#include <string.h>

enum { VALUES_MAX = 1000 };

bool mapping_parse(const char *text, int *ret, size_t count)
{
	size_t field = 0;
	if (!text || *text != '{')
		return false;
	for (const char *p = text + 1; *p && *p != '}'; field++) {
		size_t n = strcspn(p, ",}");
		int64_t value;
		if (field == count || parse_i64_n(p, n, -1, INT32_MAX, &value))
			return false;
		ret[field] = (int)value;
		p += n + (p[n] == ',');
	}
	return field == count;
}

enum err mapping_by_column(struct arena *arena, const char *mapping, const struct schema_table *table, size_t columns, const int **ret)
{
	int by_field[SCHEMA_FIELDS_MAX];
	int *fields = arena_array(arena, columns + 1, sizeof(*fields));
	if (!fields)
		return ERR_TOO_LARGE;
	if (!mapping_parse(mapping, by_field, table->field_count))
		return ERR_BUG;
	for (size_t c = 0; c < columns; c++)
		fields[c] = -1;
	for (size_t f = 0; f < table->field_count; f++)
		if (by_field[f] >= 0 && (size_t)by_field[f] < columns)
			fields[by_field[f]] = (int)f;
	*ret = fields;
	return OK;
}

const char *mapping_literal(struct arena *arena, const int *by_field, size_t count)
{
	const char *text = "{";
	for (size_t i = 0; text && i < count; i++)
		text = arena_printf(arena, "%s%s%d", text, i ? "," : "", by_field[i]);
	return text ? arena_printf(arena, "%s}", text) : NULL;
}

bool mapping_complete(const struct schema_table *table, const char *mapping)
{
	int by_field[SCHEMA_FIELDS_MAX];
	if (!mapping_parse(mapping, by_field, table->field_count))
		return false;
	for (size_t g = 0; g < table->import->group_count; g++) {
		const struct schema_group *group = &table->import->groups[g];
		bool mapped = row_code_severity(row_code_of(group->code)) != ROW_SEVERITY_ERROR;
		for (size_t i = 0; i < group->count; i++)
			mapped = mapped || by_field[group->fields[i]->index] >= 0;
		if (!mapped)
			return false;
	}
	return true;
}

static bool refuse_column(struct response *response, const char *column, const char *message)
{
	const char *name = arena_printf(response->request->arena, "columns.%.40s", column);
	refuse_field(response, PROBLEM_MAPPING_INVALID, name ? name : "columns", message);
	return false;
}

/* Writes {"<index>": "<field>" | null} into the columns. */
static bool apply(struct response *response, const struct schema_table *table, const json_t *wanted, json_t *columns)
{
	const char *index_text;
	json_t *value;
	int64_t index;
	json_object_foreach((json_t *)(uintptr_t)wanted, index_text, value)
	{
		if (parse_i64(index_text, 0, (int64_t)json_array_size(columns) - 1, &index))
			return refuse_column(response, index_text, "no such column");
		const struct schema_field *field = json_is_string(value) ? schema_field_of(table, json_string_value(value)) : NULL;
		if (!json_is_null(value) && !field)
			return refuse_column(response, index_text, "no such field");
		json_t *column = json_array_get(columns, (size_t)index);
		json_object_set_new(column, "field", field ? json_string(field->name) : json_null());
		json_object_set_new(column, "confidence", json_real(field ? 1.0 : 0.0));
		json_object_set_new(column, "manual", json_true());
	}
	return true;
}

/* Two columns on one field are refused, whichever of them the client named. */
static bool one_to_one(struct response *response, const struct schema_table *table, const json_t *columns, int *by_field)
{
	size_t index;
	const json_t *column;
	for (size_t f = 0; f < table->field_count; f++)
		by_field[f] = -1;
	json_array_foreach((json_t *)(uintptr_t)columns, index, column)
	{
		const char *name = json_text(column, "field");
		const struct schema_field *field = name ? schema_field_of(table, name) : NULL;
		if (!field)
			continue;
		if (by_field[field->index] >= 0) {
			const char *text = pg_number(response->request->arena, (int64_t)index);
			return refuse_column(response, text, "this field is mapped twice");
		}
		by_field[field->index] = (int)index;
	}
	return true;
}

static void free_text(void *what)
{
	free(what); /* from json_dumps */
}

static enum err read_columns(struct request *request, struct response *response, const struct schema_table *table, const char *columns_json,
                             struct mapping_change *ret)
{
	const json_t *wanted = json_object_get(request->json, "columns");
	int by_field[SCHEMA_FIELDS_MAX];
	json_t *columns = NULL;
	if (!wanted)
		return OK;
	if (!json_is_object(wanted))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "columns", "an object of column index to field name or null");
	enum err err = json_parse(request->arena, columns_json, strlen(columns_json), &columns, NULL);
	if (err || !json_is_array(columns))
		return ERR_BUG;
	if (!apply(response, table, wanted, columns) || !one_to_one(response, table, columns, by_field))
		return OK;
	char *text = json_dumps(columns, JSON_COMPACT);
	if (!text)
		return ERR_TOO_LARGE;
	err = arena_defer(request->arena, free_text, text);
	ret->columns = text;
	ret->mapping = mapping_literal(request->arena, by_field, table->field_count);
	return err ? err : ret->mapping ? OK : ERR_TOO_LARGE;
}

static enum err read_overrides(struct request *request, struct response *response, struct mapping_change *ret)
{
	static const char *const encodings[] = {"utf-8", "utf-16le", "utf-16be", "windows-1252", "macintosh", NULL};
	static const char *const delimiters[] = {",", ";", "\t", "|", NULL};
	const char *encoding = NULL, *delimiter = NULL, *sheet = NULL;
	int64_t header = -1;
	bool known = false;
	if (!field_text(response, request->json, "encoding", 0, 32, &encoding))
		return OK;
	for (size_t i = 0; encoding && encodings[i]; i++)
		known = known || text_equal(encodings[i], encoding);
	if (encoding && !known)
		return refuse_field(response, PROBLEM_INVALID_FIELD, "encoding", "utf-8, utf-16le, utf-16be, windows-1252 or macintosh");
	delimiter = json_text(request->json, "delimiter");
	known = false;
	for (size_t i = 0; delimiter && delimiters[i]; i++)
		known = known || text_equal(delimiters[i], delimiter);
	if (json_object_get(request->json, "delimiter") && !known)
		return refuse_field(response, PROBLEM_INVALID_FIELD, "delimiter", "comma, semicolon, tab or pipe");
	if (json_object_get(request->json, "headerRow") && !field_i64(response, request->json, "headerRow", 0, 1000, &header))
		return OK;
	if (!field_text(response, request->json, "sheet", 0, 100, &sheet))
		return OK;
	if (!encoding && !delimiter && !sheet && header < 0)
		return OK;
	struct buf json;
	struct json_writer w;
	buf_init(&json, 1024);
	json_start(&w, &json);
	json_object_open(&w, NULL);
	if (encoding)
		json_put_text(&w, "encoding", encoding);
	if (delimiter)
		json_put_text(&w, "delimiter", delimiter);
	if (sheet)
		json_put_text(&w, "sheet", sheet);
	if (header >= 0)
		json_put_i64(&w, "headerRow", header);
	json_object_close(&w);
	ret->overrides = json.overflowed ? NULL : arena_strdup(request->arena, buf_text(&json));
	buf_release(&json);
	return ret->overrides ? OK : ERR_TOO_LARGE;
}

static bool refuse_value(struct response *response, const char *field, const char *message)
{
	const char *name = arena_printf(response->request->arena, "values.%.40s", field);
	refuse_field(response, PROBLEM_INVALID_FIELD, name ? name : "values", message);
	return false;
}

/* {"text": "value", …} of a field with a closed list, or of the one that names people. */
static bool check_said(struct response *response, const struct schema_table *table, const char *name, const json_t *said)
{
	const struct schema_field *field = schema_field_of(table, name);
	bool person = field && field == table->import->assigned;
	const char *text;
	const json_t *value;
	if (!field || (!person && field->column->value_count == 0))
		return refuse_value(response, name, "no field whose values are mapped");
	if (!json_is_object(said) || json_object_size(said) > VALUES_MAX)
		return refuse_value(response, name, "an object of at most 1000 texts and what they mean");
	json_object_foreach((json_t *)(uintptr_t)said, text, value)
	{
		bool fine = person && json_is_string(value) && json_string_length(value) > 0 && json_string_length(value) <= 255;
		for (size_t i = 0; !person && i < field->column->value_count; i++)
			fine = fine || text_equal(field->column->values[i].value, json_string_value(value));
		if (!fine)
			return refuse_value(response, name, person ? "a user id" : "not a value of the field");
	}
	return true;
}

static enum err read_values(struct request *request, struct response *response, const struct schema_table *table, struct mapping_change *ret)
{
	const json_t *values = json_object_get(request->json, "values"), *said;
	const char *name;
	if (!values)
		return OK;
	if (!json_is_object(values))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "values", "an object of fields");
	json_object_foreach((json_t *)(uintptr_t)values, name, said)
	{
		if (!check_said(response, table, name, said))
			return OK;
	}
	char *text = json_dumps(values, JSON_COMPACT);
	if (!text)
		return ERR_TOO_LARGE;
	ret->values = text;
	return arena_defer(request->arena, free_text, text);
}

enum err mapping_change_read(struct request *request, struct response *response, const struct schema_table *table, const char *columns,
                             struct mapping_change *ret)
{
	*ret = (struct mapping_change){0};
	if (!field_text(response, request->json, "saveAs", 0, 100, &ret->save_as))
		return OK;
	enum err err = read_columns(request, response, table, columns, ret);
	if (!err && !response->is_problem)
		err = read_overrides(request, response, ret);
	if (!err && !response->is_problem)
		err = read_values(request, response, table, ret);
	return err;
}
