/* Bodies of the calls of `tidegate import`; see the header. Called by import.c between two calls. */
#include "commands/import_request.h"

#include <string.h>

enum { BODY_MAX = 1 << 20, HEADINGS_SHOWN = 600 };

bool import_assignment_parse(struct arena *arena, const char *text, struct import_assignment *ret)
{
	static const char *const modes[] = {"single", "round_robin", "by_column"};
	if (text_equal(text, "none")) {
		*ret = (struct import_assignment){"none", NULL};
		return true;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		size_t n = strlen(modes[i]);
		if (text_starts_with(text, modes[i]) && text[n] == ':' && text[n + 1]) {
			*ret = (struct import_assignment){modes[i], arena_strdup(arena, text + n + 1)};
			return ret->value != NULL;
		}
	}
	return false;
}

static const char *finish(struct arena *arena, struct json_writer *w)
{
	json_object_close(w);
	const char *text = w->out->overflowed ? NULL : arena_strdup(arena, buf_text(w->out));
	buf_release(w->out);
	return text;
}

static void start(struct json_writer *w, struct buf *body)
{
	buf_init(body, BODY_MAX);
	json_start(w, body);
	json_object_open(w, NULL);
}

/* The names of a list of texts or of objects with a name: "email, phone". */
static const char *name_list(struct arena *arena, const json_t *list)
{
	struct buf text;
	size_t index;
	const json_t *item;
	buf_init(&text, HEADINGS_SHOWN);
	json_array_foreach((json_t *)(uintptr_t)list, index, item)
	{
		const char *name = json_is_string(item) ? json_string_value(item) : json_text(item, "name");
		if (name)
			buf_printf(&text, "%s%s", text.len ? ", " : "", name);
	}
	const char *names = arena_printf(arena, "%s%s", buf_text(&text), text.overflowed ? ", …" : "");
	buf_release(&text);
	return names ? names : "";
}

static bool is_listed(const json_t *list, const char *name)
{
	size_t index;
	const json_t *item;
	json_array_foreach((json_t *)(uintptr_t)list, index, item) if (text_equal(json_is_string(item) ? json_string_value(item) : json_text(item, "name"), name))
		return true;
	return false;
}

const char *import_target_trouble(struct arena *arena, const json_t *targets, const struct import_options *options)
{
	const json_t *list = json_object_get(targets, "items"), *item, *target = NULL;
	size_t index;
	json_array_foreach((json_t *)(uintptr_t)list, index, item) if (text_equal(json_text(item, "name"), options->target))
		target = item;
	if (!target)
		return arena_printf(arena, "There is no target \"%s\"; there is: %s.", options->target, name_list(arena, list));
	const json_t *fields = json_object_get(target, "fields"), *keys = json_object_get(target, "duplicateKeys");
	for (size_t i = 0; i < options->map_count; i++)
		if (!is_listed(fields, options->maps[i].field))
			return arena_printf(arena, "--map: %s has no field \"%s\"; it has: %s.", options->target, options->maps[i].field, name_list(arena, fields));
	for (size_t i = 0; i < options->key_count; i++)
		if (!is_listed(keys, options->keys[i]))
			return arena_printf(arena, "--key: duplicates of %s are not known by \"%s\"; they are by: %s.", options->target, options->keys[i],
			                    name_list(arena, keys));
	return NULL;
}

const char *import_overrides_body(struct arena *arena, const struct import_options *options)
{
	struct buf body;
	struct json_writer w;
	if (!options->sheet && !options->encoding && !options->delimiter && options->header_row < 0)
		return NULL;
	start(&w, &body);
	if (options->sheet)
		json_put_text(&w, "sheet", options->sheet);
	if (options->encoding)
		json_put_text(&w, "encoding", options->encoding);
	if (options->delimiter)
		json_put_text(&w, "delimiter", options->delimiter);
	if (options->header_row >= 0)
		json_put_i64(&w, "headerRow", options->header_row);
	return finish(arena, &w);
}

/* Place of the column with that heading, or of that number; -1 with a sentence when there is none or more than one. */
static int64_t column_of(struct arena *arena, const json_t *columns, const char *heading, const char **ret_why)
{
	int64_t found = -1, number = 0;
	size_t index;
	const json_t *column;
	json_array_foreach((json_t *)(uintptr_t)columns, index, column)
	{
		if (!text_equal(json_text(column, "name"), heading))
			continue;
		if (found >= 0) {
			*ret_why = arena_printf(arena, "The heading \"%s\" stands over columns %lld and %zu; give the number.", heading, (long long)found + 1, index + 1);
			return -1;
		}
		found = (int64_t)index;
	}
	if (found >= 0)
		return found;
	if (parse_i64(heading, 1, (int64_t)json_array_size(columns), &number) == OK)
		return number - 1;
	*ret_why = arena_printf(arena, "The file has no heading \"%s\" and no column of that number; its headings are: %s.", heading, name_list(arena, columns));
	return -1;
}

static const char *field_of(const json_t *columns, size_t index)
{
	return json_text(json_array_get(columns, index), "field");
}

/* fields[c] of every column that changes: a field, or "" for none. */
static bool place_maps(struct arena *arena, const json_t *columns, const struct import_options *options, const char **fields, const char **ret_why)
{
	for (size_t i = 0; i < options->map_count; i++) {
		const struct import_map *map = &options->maps[i];
		if (!*map->heading)
			continue;
		int64_t at = column_of(arena, columns, map->heading, ret_why);
		if (at < 0)
			return false;
		if (fields[at]) {
			*ret_why = arena_printf(arena, "--map gives the column \"%s\" to both %s and %s.", map->heading, fields[at], map->field);
			return false;
		}
		fields[at] = map->field;
	}
	for (size_t i = 0; i < options->map_count; i++)
		for (size_t c = 0; c < json_array_size(columns); c++)
			if (!fields[c] && text_equal(field_of(columns, c), options->maps[i].field))
				fields[c] = "";
	return true;
}

const char *import_columns_body(struct arena *arena, const json_t *columns, const struct import_options *options, const char **ret_why)
{
	struct buf body;
	struct json_writer w;
	const char **fields = arena_array(arena, json_array_size(columns) + 1, sizeof(*fields));
	bool changed = false;
	*ret_why = fields ? NULL : "There is not enough memory.";
	if (!fields || !place_maps(arena, columns, options, fields, ret_why))
		return NULL;
	if (text_equal(options->assignment.mode, "by_column") && column_of(arena, columns, options->assignment.value, ret_why) < 0)
		return NULL;
	start(&w, &body);
	json_object_open(&w, "columns");
	for (size_t c = 0; c < json_array_size(columns); c++) {
		char index[24];
		if (!fields[c])
			continue;
		(void)snprintf(index, sizeof(index), "%zu", c);
		json_put_text(&w, index, *fields[c] ? fields[c] : NULL);
		changed = true;
	}
	json_object_close(&w);
	const char *text = finish(arena, &w);
	return changed ? text : NULL;
}

static void put_users(struct json_writer *w, const char *users)
{
	json_array_open(w, "userIds");
	for (const char *user = users; *user;) {
		size_t n = strcspn(user, ",");
		if (n)
			json_put_str(w, NULL, (struct str){user, n});
		user += n + (user[n] == ',');
	}
	json_array_close(w);
}

const char *import_commit_body(struct arena *arena, const json_t *columns, const struct import_options *options)
{
	const struct import_assignment *assignment = &options->assignment;
	const char *why = NULL;
	struct buf body;
	struct json_writer w;
	start(&w, &body);
	if (assignment->mode) {
		json_object_open(&w, "assignment");
		json_put_text(&w, "mode", assignment->mode);
		if (text_equal(assignment->mode, "single"))
			json_put_text(&w, "userId", assignment->value);
		else if (text_equal(assignment->mode, "round_robin"))
			put_users(&w, assignment->value);
		else if (text_equal(assignment->mode, "by_column"))
			json_put_i64(&w, "column", column_of(arena, columns, assignment->value, &why));
		json_object_close(&w);
	}
	json_object_open(&w, "duplicates");
	json_put_text(&w, "strategy", options->strategy);
	if (options->key_count) {
		json_array_open(&w, "fields");
		for (size_t i = 0; i < options->key_count; i++)
			json_put_text(&w, NULL, options->keys[i]);
		json_array_close(&w);
	}
	json_object_close(&w);
	if (options->dry_run)
		json_put_bool(&w, "dryRun", true);
	return finish(arena, &w);
}
