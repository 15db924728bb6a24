/*
 * Typed reading of JSON members for the loader.
 * Called by load.c, load_columns.c, load_constraints.c and load_import.c only.
 * Never accepts what it does not understand: a wrong type or an unknown member is an error that names its place, so that
 * a typing mistake in a declaration cannot silently become a missing index or an unguarded column.
 */
#include "core/schema/load.h"

#include <stdarg.h>
#include <string.h>

enum err load_fail(struct schema_loader *l, const char *path, const char *format, ...)
{
	va_list args;
	char *message = NULL;

	if (l->why)
		return ERR_INVALID;
	va_start(args, format);
	message = arena_vprintf(l->arena, format, args);
	va_end(args);
	l->why = arena_printf(l->arena, "%s: %s", path, message ? message : "wrong");
	if (!l->why)
		l->why = "the declaration is wrong, and too large to say where";
	return ERR_INVALID;
}

const char *load_path(struct schema_loader *l, const char *path, const char *name)
{
	const char *made = arena_printf(l->arena, "%s%s%s", path, *path ? "." : "", name);
	return made ? made : "";
}

const char *load_path_at(struct schema_loader *l, const char *path, size_t index)
{
	const char *made = arena_printf(l->arena, "%s[%zu]", path, index);
	return made ? made : "";
}

static bool is_listed(const char *name, const char *const *allowed)
{
	for (; *allowed; allowed++)
		if (text_equal(name, *allowed))
			return true;
	return false;
}

enum err load_members(struct schema_loader *l, const json_t *object, const char *path, const char *const *allowed)
{
	const char *name = NULL;
	json_t *value = NULL;

	if (!json_is_object(object))
		return load_fail(l, *path ? path : "declaration", "must be an object");
	json_object_foreach ((json_t *)(uintptr_t)object, name, value)
		if (!is_listed(name, allowed))
			return load_fail(l, load_path(l, path, name), "unknown member");
	return OK;
}

enum err take_text(struct schema_loader *l, const json_t *o, const char *path, const char *name, bool required, const char **ret)
{
	const json_t *value = json_object_get(o, name);

	if (!value)
		return required ? load_fail(l, load_path(l, path, name), "is missing") : OK;
	if (!json_is_string(value) || json_string_length(value) == 0)
		return load_fail(l, load_path(l, path, name), "must be a text that is not empty");
	*ret = json_string_value(value);
	return OK;
}

enum err take_bool(struct schema_loader *l, const json_t *o, const char *path, const char *name, bool *ret)
{
	const json_t *value = json_object_get(o, name);

	if (!value)
		return OK;
	if (!json_is_boolean(value))
		return load_fail(l, load_path(l, path, name), "must be true or false");
	*ret = json_is_true(value);
	return OK;
}

enum err take_integer(struct schema_loader *l, const json_t *o, const char *path, const char *name, bool *ret_given, int64_t *ret)
{
	const json_t *value = json_object_get(o, name);

	*ret_given = value != NULL;
	if (!value)
		return OK;
	if (!json_is_integer(value))
		return load_fail(l, load_path(l, path, name), "must be a whole number");
	*ret = json_integer_value(value);
	return OK;
}

enum err take_array(struct schema_loader *l, const json_t *o, const char *path, const char *name, size_t max, const json_t **ret)
{
	const json_t *value = json_object_get(o, name);

	if (!value)
		return OK;
	if (!json_is_array(value) || json_array_size(value) > max)
		return load_fail(l, load_path(l, path, name), "must be a list of at most %zu", max);
	*ret = value;
	return OK;
}

enum err take_texts(struct schema_loader *l, const json_t *o, const char *path, const char *name, struct schema_texts *ret)
{
	const json_t *list = NULL;
	struct schema_texts texts = {NULL, 0};
	enum err err = take_array(l, o, path, name, SCHEMA_LIST_MAX, &list);

	if (err || !list)
		return err;
	texts.count = json_array_size(list);
	texts.items = arena_array(l->arena, texts.count, sizeof(*texts.items));
	if (!texts.items)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < texts.count; i++) {
		const json_t *item = json_array_get(list, i);
		if (!json_is_string(item) || json_string_length(item) == 0)
			return load_fail(l, load_path_at(l, load_path(l, path, name), i), "must be a text that is not empty");
		texts.items[i] = json_string_value(item);
	}
	*ret = texts;
	return OK;
}

enum err take_labels(struct schema_loader *l, const json_t *o, const char *path, bool required, struct schema_labels *ret)
{
	static const char *const members[] = {"fr", "en", NULL};
	const json_t *labels = json_object_get(o, "labels");
	const char *where = load_path(l, path, "labels");
	enum err err = OK;

	if (!labels)
		return required ? load_fail(l, where, "is missing") : OK;
	err = load_members(l, labels, where, members);
	if (!err)
		err = take_text(l, labels, where, "fr", true, &ret->fr);
	if (!err)
		err = take_text(l, labels, where, "en", true, &ret->en);
	return err;
}

enum err take_choice(struct schema_loader *l, const json_t *o, const char *path, const char *name, const struct schema_names *names, int *ret)
{
	const char *text = NULL;
	enum err err = take_text(l, o, path, name, false, &text);

	if (err || !text)
		return err;
	for (; names->name; names++) {
		if (text_equal(names->name, text)) {
			*ret = names->value;
			return OK;
		}
	}
	return load_fail(l, load_path(l, path, name), "\"%s\" is not known here", text);
}

enum err take_columns(struct schema_loader *l, const struct schema_table *table, const json_t *o, const char *path, const char *name,
                      const struct schema_column **columns, size_t *ret_count)
{
	struct schema_texts names = {NULL, 0};
	enum err err = take_texts(l, o, path, name, &names);

	if (err)
		return err;
	if (names.count > SCHEMA_KEYS_MAX)
		return load_fail(l, load_path(l, path, name), "must be a list of at most %d", SCHEMA_KEYS_MAX);
	for (size_t i = 0; i < names.count; i++) {
		columns[i] = schema_column_of(table, names.items[i]);
		if (!columns[i])
			return load_fail(l, load_path_at(l, load_path(l, path, name), i), "table %s has no column \"%s\"", table->name, names.items[i]);
	}
	*ret_count = names.count;
	return OK;
}

bool load_is_identifier(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 63 || name[0] < 'a' || name[0] > 'z')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}
