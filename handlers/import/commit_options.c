/*
 * The options of a commit, in and out. Called by POST …/commit and by the worker's commit job.
 * Must never store an option that the worker would not understand.
 */
#include "handlers/import/commit_options.h"

#include "core/schema/statements.h"
#include "fcgi/fields.h"
#include "handlers/import/job_common.h"
#include "handlers/import/mapping_change.h"

#include <stdlib.h>
#include <string.h>

enum { ROUND_ROBIN_MAX = 1000 };

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

/* {"mode": …, name: value} */
static enum err keep_assignment(struct request *request, const char *mode, const char *name, json_t *value, const char **ret)
{
	json_t *made = name ? json_pack("{s:s, s:O}", "mode", mode, name, value) : json_pack("{s:s}", "mode", mode);
	char *text = made ? json_dumps(made, JSON_COMPACT) : NULL;
	*ret = text ? arena_strdup(request->arena, text) : NULL;
	free(text); /* from json_dumps */
	json_decref(made);
	return *ret ? OK : ERR_TOO_LARGE;
}

/* Are all of them there to be assigned to? */
static enum err check_people(struct request *request, struct response *response, const struct schema_target *target, const char *const *ids,
                             size_t count, const char *place)
{
	struct pg_rows missing;
	const char *list = pg_text_array(request->arena, ids, count);
	if (!list)
		return ERR_TOO_LARGE;
	enum err err = pg_query_generated(&request->gate->pg, request->arena, schema_slot(target, SLOT_ASSIGNEE), target->assignee_sql,
	                                  SCHEMA_PEOPLE_PARAMETERS, PG_VALUES(request->scope.space, list), &missing);
	if (err || missing.count == 0)
		return err;
	const char *message = arena_printf(request->arena, "no such user: %.100s", pg_text(&missing, 0, 0));
	return refuse_field(response, PROBLEM_ASSIGNEE_UNKNOWN, place, message ? message : "no such user");
}

static enum err read_single(struct request *request, struct response *response, const struct schema_target *target, const json_t *o, const char **ret)
{
	const char *user;
	if (!field_text(response, o, "userId", 1, 255, &user))
		return OK;
	enum err err = check_people(request, response, target, &user, 1, "assignment.userId");
	return err || response->is_problem ? err : keep_assignment(request, "single", "userId", json_object_get(o, "userId"), ret);
}

static enum err read_round_robin(struct request *request, struct response *response, const struct schema_target *target, const json_t *o,
                                 const char **ret)
{
	json_t *users = json_object_get(o, "userIds"), *user;
	size_t count = json_array_size(users), i;
	const char **ids = arena_array(request->arena, count + 1, sizeof(*ids));
	if (!ids)
		return ERR_TOO_LARGE;
	if (count == 0 || count > ROUND_ROBIN_MAX)
		return refuse_field(response, PROBLEM_INVALID_FIELD, "assignment.userIds", "a list of 1 to 1000 users");
	json_array_foreach(users, i, user)
	{
		ids[i] = json_string_value(user);
		if (!ids[i] || !*ids[i] || json_string_length(user) > 255)
			return refuse_field(response, PROBLEM_INVALID_FIELD, "assignment.userIds", "a list of user ids");
	}
	enum err err = check_people(request, response, target, ids, count, "assignment.userIds");
	return err || response->is_problem ? err : keep_assignment(request, "round_robin", "userIds", users, ret);
}

/* A column by its place (from 0) or its heading, as it stands there. */
static enum err read_by_column(struct request *request, struct response *response, const char *columns, const json_t *o, const char **ret)
{
	const json_t *wanted = json_object_get(o, "column"), *column;
	json_t *list = NULL;
	size_t i, place = SIZE_MAX;
	enum err err = json_parse(request->arena, columns, strlen(columns), &list, NULL);
	if (err)
		return ERR_BUG;
	json_array_foreach(list, i, column)
	{
		bool same = json_is_string(wanted) ? text_equal(json_text(column, "name"), json_string_value(wanted))
		                                   : json_is_integer(wanted) && json_integer_value(wanted) == (json_int_t)i;
		if (same && place == SIZE_MAX)
			place = i;
	}
	if (place == SIZE_MAX)
		return refuse_field(response, PROBLEM_INVALID_FIELD, "assignment.column", "index or heading of a column of the file");
	json_t *number = json_integer((json_int_t)place);
	err = number ? keep_assignment(request, "by_column", "column", number, ret) : ERR_TOO_LARGE;
	json_decref(number);
	return err;
}

static enum err read_assignment(struct request *request, struct response *response, const struct schema_target *target, const char *columns,
                                const char **ret)
{
	const json_t *o;
	const char *mode = NULL;
	if (!part(response, "assignment", &o) || (o && !field_text(response, o, "mode", 0, 20, &mode)))
		return OK;
	if (!mode || text_equal(mode, "none"))
		return keep_assignment(request, "none", NULL, NULL, ret);
	bool single = text_equal(mode, "single"), in_turn = text_equal(mode, "round_robin");
	if (!single && !in_turn && !text_equal(mode, "by_column"))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "assignment.mode", "none, single, round_robin or by_column");
	if (!target->assignee_sql)
		return refuse_field(response, PROBLEM_INVALID_FIELD, "assignment.mode", "this target has nobody to assign to");
	if (single)
		return read_single(request, response, target, o, ret);
	return in_turn ? read_round_robin(request, response, target, o, ret) : read_by_column(request, response, columns, o, ret);
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

enum err commit_options_read(struct request *request, struct response *response, const struct schema_target *target, const char *columns,
                             struct commit_options *ret)
{
	*ret = (struct commit_options){0};
	enum err err = read_assignment(request, response, target, columns, &ret->assignment);
	if (!err && !response->is_problem)
		err = read_duplicates(request, response, target, &ret->duplicates);
	if (!err && !response->is_problem)
		err = read_defaults(request, response, target, &ret->defaults);
	return err;
}

const char *mapped_column(struct arena *arena, const struct import_work *work, const struct schema_field *field)
{
	int by_field[SCHEMA_FIELDS_MAX];
	if (!field || !mapping_parse(work->mapping, by_field, work->target->table->field_count) || by_field[field->index] < 0)
		return NULL;
	return pg_number(arena, (int64_t)by_field[field->index] + 1);
}

static enum err plan_assignment(struct arena *arena, const struct import_work *work, const json_t *assignment, struct commit_plan *plan)
{
	const json_t *users = json_object_get(assignment, "userIds"), *column = json_object_get(assignment, "column"), *user;
	size_t i;
	plan->user = json_text(assignment, "userId");
	if (column)
		plan->column = pg_number(arena, json_integer_value(column) + 1);
	else if (work->target->people_sql && text_equal(json_text(assignment, "mode"), "none"))
		plan->column = mapped_column(arena, work, work->target->table->import->assigned);
	if (!users)
		return OK;
	plan->user_count = json_array_size(users);
	const char **ids = arena_array(arena, plan->user_count, sizeof(*ids));
	if (!ids)
		return ERR_TOO_LARGE;
	json_array_foreach((json_t *)(uintptr_t)users, i, user)
	{
		ids[i] = json_string_value(user);
	}
	plan->users = pg_text_array(arena, ids, plan->user_count);
	return plan->users ? OK : ERR_TOO_LARGE;
}

enum err commit_plan_read(struct arena *arena, const struct import_work *work, struct commit_plan *ret)
{
	json_t *a = NULL, *d = NULL, *v = NULL;
	const json_t *field;
	size_t index, key;
	if (!work->assignment || !work->duplicates || !work->defaults || json_parse(arena, work->assignment, strlen(work->assignment), &a, NULL) ||
	    json_parse(arena, work->duplicates, strlen(work->duplicates), &d, NULL) || json_parse(arena, work->defaults, strlen(work->defaults), &v, NULL))
		return ERR_BUG;
	*ret = (struct commit_plan){
	    .status = json_text(v, "status"),
	    .source = json_text(v, "source"),
	    .update = text_equal(json_text(d, "strategy"), "update"),
	    .create = text_equal(json_text(d, "strategy"), "create"),
	};
	json_array_foreach(json_object_get(d, "fields"), index, field) if (json_is_string(field) && key_named(work->target, json_string_value(field), &key))
		ret->keys[key] = true;
	return plan_assignment(arena, work, a, ret);
}
