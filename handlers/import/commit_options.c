/*
 * The options of a commit, in and out. Called by POST …/commit and by the worker's commit job.
 * Must never store an option that the worker would not understand.
 */
#include "handlers/import/commit_options.h"

#include "handlers/import/fields.h"

#include <string.h>

static bool key_named(const struct schema_target *target, const char *name, size_t *ret)
{
	for (size_t i = 0; i < target->table->import->key_count; i++)
		if (text_equal(target->table->import->keys[i].field->name, name)) {
			*ret = i;
			return true;
		}
	return false;
}

static enum err keep(struct arena *arena, struct buf *json, const char **ret)
{
	*ret = json->overflowed ? NULL : arena_strdup(arena, buf_text(json));
	buf_release(json);
	return *ret ? OK : ERR_TOO_LARGE;
}

/* A part of the body that must be an object; *ret NULL when absent. */
static bool part(struct response *response, const char *name, const json_t **ret)
{
	const json_t *value = json_object_get(response->request->json, name);
	*ret = json_is_null(value) ? NULL : value;
	if (!*ret || json_is_object(*ret))
		return true;
	refuse_field(response, PROBLEM_INVALID_FIELD, name, "an object");
	return false;
}

static enum err read_assignment(struct request *request, struct response *response, const struct schema_target *target, const char **ret)
{
	const json_t *o;
	const char *mode = NULL, *user = NULL;
	struct pg_rows rows;
	struct buf json;
	struct json_writer w;
	if (!part(response, "assignment", &o) || (o && !field_text(response, o, "mode", 0, 20, &mode)))
		return OK;
	bool single = text_equal(mode, "single");
	if (mode && !single && !text_equal(mode, "none"))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "assignment.mode", "none or single");
	if (single && !field_text(response, o, "userId", 1, 255, &user))
		return OK;
	if (single) {
		if (!target->assignee_sql)
			return refuse_field(response, PROBLEM_INVALID_FIELD, "assignment.mode", "this target has nobody to assign to");
		enum err err = pg_query_generated(&request->gate->pg, request->arena, schema_slot(target, SLOT_ASSIGNEE), target->assignee_sql, 2,
		                                  PG_VALUES(request->scope.space, user), &rows);
		if (err)
			return err;
		if (rows.count == 0)
			return refuse_field(response, PROBLEM_ASSIGNEE_UNKNOWN, "assignment.userId", "no such user");
	}
	buf_init(&json, 4096);
	json_start(&w, &json);
	json_object_open(&w, NULL);
	json_put_text(&w, "mode", single ? "single" : "none");
	if (single)
		json_put_text(&w, "userId", user);
	json_object_close(&w);
	return keep(request->arena, &json, ret);
}

static enum err read_duplicates(struct request *request, struct response *response, const struct schema_target *target, const char **ret)
{
	static const char *const strategies[] = {"skip", "update", "create", NULL};
	const json_t *o, *fields = NULL, *field;
	const char *strategy = NULL;
	struct buf json;
	struct json_writer w;
	size_t index, key;
	bool known = false;
	if (!part(response, "duplicates", &o) || (o && !field_text(response, o, "strategy", 0, 20, &strategy)))
		return OK;
	if (!strategy)
		strategy = "skip";
	for (size_t i = 0; strategies[i]; i++)
		known = known || text_equal(strategies[i], strategy);
	if (!known)
		return refuse_field(response, PROBLEM_INVALID_FIELD, "duplicates.strategy", "skip, update or create");
	fields = json_object_get(o, "fields");
	if (fields && !json_is_array(fields))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "duplicates.fields", "a list of keys of the target");
	buf_init(&json, 4096);
	json_start(&w, &json);
	json_object_open(&w, NULL);
	json_put_text(&w, "strategy", strategy);
	json_array_open(&w, "fields");
	for (size_t i = 0; !fields && i < target->table->import->key_count; i++)
		json_put_text(&w, NULL, target->table->import->keys[i].field->name);
	json_array_foreach((json_t *)(uintptr_t)fields, index, field)
	{
		if (!json_is_string(field) || !key_named(target, json_string_value(field), &key)) {
			buf_release(&json);
			return refuse_field(response, PROBLEM_INVALID_FIELD, "duplicates.fields", "not a key of the target");
		}
		json_put_text(&w, NULL, json_string_value(field));
	}
	json_array_close(&w);
	json_object_close(&w);
	return keep(request->arena, &json, ret);
}

static bool value_allowed(const struct schema_field *field, const char *value)
{
	if (!field || field->column->value_count == 0)
		return field != NULL;
	for (size_t i = 0; i < field->column->value_count; i++)
		if (text_equal(field->column->values[i].value, value))
			return true;
	return false;
}

static enum err read_defaults(struct request *request, struct response *response, const struct schema_target *target, const char **ret)
{
	const struct schema_import *import = target->table->import;
	const json_t *o;
	const char *status = NULL, *source = NULL;
	struct buf json;
	struct json_writer w;
	if (!part(response, "defaults", &o))
		return OK;
	if (o && (!field_text(response, o, "status", 0, 50, &status) || !field_text(response, o, "source", 0, 100, &source)))
		return OK;
	if (status && !value_allowed(import->status, status))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "defaults.status", "not a status of the target");
	if (source && !value_allowed(import->source, source))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "defaults.source", "the target has no source");
	buf_init(&json, 4096);
	json_start(&w, &json);
	json_object_open(&w, NULL);
	if (status)
		json_put_text(&w, "status", status);
	if (source)
		json_put_text(&w, "source", source);
	json_object_close(&w);
	return keep(request->arena, &json, ret);
}

enum err commit_options_read(struct request *request, struct response *response, const struct schema_target *target, struct commit_options *ret)
{
	*ret = (struct commit_options){0};
	enum err err = read_assignment(request, response, target, &ret->assignment);
	if (!err && !response->is_problem)
		err = read_duplicates(request, response, target, &ret->duplicates);
	if (!err && !response->is_problem)
		err = read_defaults(request, response, target, &ret->defaults);
	return err;
}

enum err commit_plan_read(struct arena *arena, const struct schema_target *target, const char *assignment, const char *duplicates,
                          const char *defaults, struct commit_plan *ret)
{
	json_t *a = NULL, *d = NULL, *v = NULL;
	const json_t *field;
	size_t index, key;
	if (!assignment || !duplicates || !defaults || json_parse(arena, assignment, strlen(assignment), &a, NULL) ||
	    json_parse(arena, duplicates, strlen(duplicates), &d, NULL) || json_parse(arena, defaults, strlen(defaults), &v, NULL))
		return ERR_BUG;
	*ret = (struct commit_plan){
	    .user = json_text(a, "userId"),
	    .status = json_text(v, "status"),
	    .source = json_text(v, "source"),
	    .update = text_equal(json_text(d, "strategy"), "update"),
	    .create = text_equal(json_text(d, "strategy"), "create"),
	};
	json_array_foreach(json_object_get(d, "fields"), index, field) if (json_is_string(field) && key_named(target, json_string_value(field), &key))
		ret->keys[key] = true;
	return OK;
}
