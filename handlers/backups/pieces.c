/*
 * Plans which places of a dump make another one. Called by downloads. Must never name a place that the manifest does not, nor leave out rows of a table
 * that was asked for.
 */
#include "handlers/backups/pieces.h"

#include "core/base/text.h"
#include "handlers/backups/literal.h"

#include <ctype.h>
#include <string.h>

enum { NAMES_MAX = 8000, NAMES_ROOM = 16000, STATEMENT_MAX = 1 << 20 };

struct plan {
	struct arena *arena;
	const json_t *content, *tables, *virtual_tables, *objects;
	const char *wanted; /* NULL: all */
	struct pieces *pieces;
	size_t room;
	enum err err;
};

static void add(struct plan *plan, struct piece piece)
{
	struct pieces *pieces = plan->pieces;
	if (plan->err || pieces->count == plan->room) {
		plan->err = plan->err ? plan->err : ERR_TOO_LARGE;
		return;
	}
	pieces->bytes += piece.place.length;
	pieces->list[pieces->count++] = piece;
}

/* before "name" after */
static void add_named(struct plan *plan, const char *before, const char *name, const char *after)
{
	struct buf out;
	buf_init(&out, STATEMENT_MAX);
	buf_append_text(&out, before);
	literal_put_name(&out, name);
	buf_append_text(&out, after);
	const char *text = out.overflowed ? NULL : arena_strdup(plan->arena, buf_text(&out));
	buf_release(&out);
	if (text)
		add(plan, (struct piece){.text = text});
	else
		plan->err = ERR_TOO_LARGE;
}

static bool read_place(const json_t *object, const char *name, struct source_place *ret)
{
	const json_t *place = json_object_get(object, name);
	ret->offset = json_integer_value(json_array_get(place, 0));
	ret->length = json_integer_value(json_array_get(place, 1));
	return json_array_size(place) == 2 && ret->offset >= 0 && ret->length > 0;
}

static void add_created(struct plan *plan, const json_t *object)
{
	struct piece piece = {0};
	if (read_place(object, "created", &piece.place))
		add(plan, piece);
	else
		plan->err = ERR_INVALID;
}

/* ---- which ---- */

/* NAME_…, where NAME is a virtual table: the longest such NAME. */
static const json_t *owner_of(const struct plan *plan, const char *shadow)
{
	const json_t *found = NULL, *table;
	size_t i, best = 0;
	json_array_foreach(plan->virtual_tables, i, table) {
		const char *name = json_text(table, "name");
		size_t n = name ? strlen(name) : 0;
		if (n > best && strncasecmp(shadow, name, n) == 0 && shadow[n] == '_') {
			found = table;
			best = n;
		}
	}
	return found;
}

static bool is_shadow(const json_t *table)
{
	return json_is_true(json_object_get(table, "shadow"));
}

/* D1 has tables of that name itself. */
static bool is_wanted(const struct plan *plan, const char *name)
{
	if (!name || (plan->pieces->d1 && strncmp(name, "_cf_", 4) == 0))
		return false;
	return !plan->wanted || text_equal(name, plan->wanted);
}

/* Rows of a shadow table belong to its virtual table. */
static bool has_wanted_rows(const struct plan *plan, const json_t *table)
{
	const char *name = json_text(table, "name");
	if (!is_shadow(table))
		return is_wanted(plan, name);
	const json_t *owner = name ? owner_of(plan, name) : NULL;
	return owner ? is_wanted(plan, json_text(owner, "name")) : !plan->wanted;
}

static void name_tables(const struct plan *plan, struct buf *out)
{
	const json_t *lists[] = {plan->tables, plan->virtual_tables}, *table;
	size_t i;
	for (size_t list = 0; list < 2; list++)
		json_array_foreach(lists[list], i, table)
			if (!is_shadow(table) && json_text(table, "name") && out->len < NAMES_MAX)
				buf_printf(out, "%s%s", out->len ? ", " : "", json_text(table, "name"));
}

static bool exists(const struct plan *plan)
{
	const json_t *lists[] = {plan->tables, plan->virtual_tables}, *table;
	size_t i;
	for (size_t list = 0; list < 2; list++)
		json_array_foreach(lists[list], i, table)
			if (!is_shadow(table) && text_equal(json_text(table, "name"), plan->wanted))
				return true;
	return false;
}

/* ---- full-text tables in D1: their rows go in through the table, for its shadow tables are closed ---- */

/* INSERT INTO "fts"(rowid,"title","body") VALUES */
static const char *head_of(struct plan *plan, const json_t *owner)
{
	const json_t *column;
	size_t i;
	struct buf out;
	buf_init(&out, STATEMENT_MAX);
	buf_append_text(&out, "INSERT INTO ");
	literal_put_name(&out, json_text(owner, "name"));
	buf_append_text(&out, "(rowid");
	json_array_foreach(json_object_get(owner, "columns"), i, column) {
		buf_append_char(&out, ',');
		literal_put_name(&out, json_string_value(column) ? json_string_value(column) : "");
	}
	buf_append_text(&out, ") VALUES\n");
	const char *head = out.overflowed ? NULL : arena_strdup(plan->arena, buf_text(&out));
	buf_release(&out);
	return head;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

static bool keeps_its_rows(const struct plan *plan, const char *name)
{
	const char *shadow = arena_join(plan->arena, name, "_content", "");
	const json_t *table;
	size_t i;
	json_array_foreach(plan->tables, i, table)
		if (is_shadow(table) && text_equal(json_text(table, "name"), shadow))
			return true;
	return false;
}

/* Written without blanks and in lower case: is it fts5 with a content, of its own or of a table? */
static bool fits_d1(const json_t *table)
{
	const char *sql = json_text(table, "sql");
	struct buf plain;
	buf_init(&plain, STATEMENT_MAX);
	for (; sql && *sql; sql++)
		if (!isspace((unsigned char)*sql))
			buf_append_char(&plain, (char)tolower((unsigned char)*sql));
	const char *text = buf_text(&plain);
	bool fits = json_array_size(json_object_get(table, "columns")) && strstr(text, "usingfts5(") && !strstr(text, "content=''") && !strstr(text, "content=\"\"");
	buf_release(&plain);
	return fits;
}

static const char *unfit_for_d1(const struct plan *plan)
{
	const json_t *table;
	size_t i;
	json_array_foreach(plan->virtual_tables, i, table)
		if (is_wanted(plan, json_text(table, "name")) && !fits_d1(table))
			return json_text(table, "name");
	return NULL;
}

static void add_rows(struct plan *plan, const json_t *table)
{
	const char *name = json_text(table, "name"), *head = NULL;
	struct piece piece = {.table = name};
	piece.place.offset = json_integer_value(json_object_get(table, "offset"));
	piece.place.length = json_integer_value(json_object_get(table, "length"));
	if (plan->pieces->d1 && is_shadow(table)) {
		const json_t *owner = owner_of(plan, name);
		if (!owner || !ends_with(name, "_content"))
			return;
		head = head_of(plan, owner);
		if (!head)
			plan->err = ERR_TOO_LARGE;
	}
	piece.head = head;
	add(plan, piece);
}

/* ---- the plan ---- */

static void add_counter(struct plan *plan, const json_t *table)
{
	struct piece piece = {0};
	if (!read_place(table, "counted", &piece.place))
		return;
	struct buf name;
	buf_init(&name, STATEMENT_MAX);
	buf_append_text(&name, "DELETE FROM sqlite_sequence WHERE name = ");
	literal_put_text(&name, json_text(table, "name"), strlen(json_text(table, "name")), LITERAL_QUOTE);
	buf_append_text(&name, ";\n");
	const char *text = arena_strdup(plan->arena, buf_text(&name));
	buf_release(&name);
	add(plan, (struct piece){.text = text});
	add(plan, piece);
}

static void add_tables(struct plan *plan)
{
	const json_t *lists[] = {plan->tables, plan->virtual_tables}, *table;
	size_t i;
	for (size_t list = 2; list-- > 0;)
		for (i = json_array_size(lists[list]); i-- > 0;) {
			table = json_array_get(lists[list], i);
			if (!is_shadow(table) && is_wanted(plan, json_text(table, "name")))
				add_named(plan, "DROP TABLE IF EXISTS ", json_text(table, "name"), ";\n");
		}
	for (size_t list = 0; list < 2; list++)
		json_array_foreach(lists[list], i, table)
			if (!is_shadow(table) && is_wanted(plan, json_text(table, "name")))
				add_created(plan, table);
}

static void add_content(struct plan *plan)
{
	const json_t *table;
	size_t i;
	json_array_foreach(plan->tables, i, table)
		if (has_wanted_rows(plan, table))
			add_rows(plan, table);
	json_array_foreach(plan->tables, i, table)
		if (has_wanted_rows(plan, table))
			add_counter(plan, table);
	json_array_foreach(plan->virtual_tables, i, table) {
		const char *name = json_text(table, "name");
		if (plan->pieces->d1 && is_wanted(plan, name) && !keeps_its_rows(plan, name)) {
			add_named(plan, "INSERT INTO ", name, "(");
			add_named(plan, "", name, ") VALUES('rebuild');\n");
		}
	}
}

/* Of one table: its indexes and triggers. */
static void add_objects(struct plan *plan)
{
	const json_t *object;
	size_t i;
	json_array_foreach(plan->objects, i, object) {
		bool view = text_equal(json_text(object, "type"), "view");
		if (view ? !plan->wanted : is_wanted(plan, json_text(object, "table")))
			add_created(plan, object);
	}
}

enum err pieces_plan(struct arena *arena, const json_t *content, const char *table, bool d1, struct pieces *ret, const char **ret_why)
{
	struct plan plan = {.arena = arena, .content = content, .wanted = table, .pieces = ret};
	const char *encoding = json_text(content, "encoding");
	plan.tables = json_object_get(content, "tables");
	plan.virtual_tables = json_object_get(content, "virtualTables");
	plan.objects = json_object_get(content, "objects");
	if (!encoding || !json_is_array(plan.tables) || !json_is_array(plan.virtual_tables) || !json_is_array(plan.objects))
		return ERR_INVALID;
	if (table && !exists(&plan)) {
		struct buf names;
		buf_init(&names, NAMES_ROOM);
		name_tables(&plan, &names);
		*ret_why = arena_strdup(arena, buf_text(&names));
		buf_release(&names);
		return ERR_NOT_FOUND;
	}
	if (d1 && !text_equal(encoding, "UTF-8")) {
		*ret_why = "the database is UTF-16, those of D1 are UTF-8";
		return ERR_CONFLICT;
	}
	ret->d1 = d1;
	const char *unfit = d1 ? unfit_for_d1(&plan) : NULL;
	if (unfit) {
		*ret_why = arena_printf(arena, "the virtual table %s is not one that it has, or keeps no content", unfit);
		return ERR_CONFLICT;
	}
	plan.room = 16 + 6 * (json_array_size(plan.tables) + json_array_size(plan.virtual_tables)) + json_array_size(plan.objects);
	*ret = (struct pieces){.list = arena_array(arena, plan.room, sizeof(*ret->list)), .d1 = d1};
	if (!ret->list)
		return ERR_TOO_LARGE;
	if (d1)
		add(&plan, (struct piece){.text = "PRAGMA defer_foreign_keys=true;\n"});
	else
		add(&plan, (struct piece){.text = arena_printf(arena, "PRAGMA encoding='%s';\nPRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n", encoding)});
	add_tables(&plan);
	add_content(&plan);
	add_objects(&plan);
	if (!d1)
		add(&plan, (struct piece){.text = "COMMIT;\nPRAGMA foreign_keys=ON;\n"});
	return plan.err;
}
