/*
 * Names in a file, and the people they are. Called by the plan of a commit and by its preview.
 * Must never guess between two people: a name that fits both is nobody's.
 */
#include "handlers/import/assignees.h"

#include "core/schema/statements.h"
#include "handlers/import/normalise.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 512 };
enum kind { FULL_NAME, FIRST_NAME, EXACT_ID };

struct entry {
	enum kind kind;
	const char *key;
	const char *id; /* NULL: more than one person */
};

struct people_index {
	struct entry *entries; /* sorted by kind and key, each pair once */
	size_t count;
};

static int compare(const void *a, const void *b)
{
	const struct entry *one = a, *other = b;
	return one->kind != other->kind ? (int)one->kind - (int)other->kind : strcmp(one->key, other->key);
}

/* Without accents, case and punctuation; letters that have no such form (other scripts) count as they are. */
static const char *key_of(struct arena *arena, const char *name, size_t n)
{
	char key[KEY_MAX];
	struct str clean = normalise_clean((struct str){name, n});
	size_t length = normalise_key(clean, key, sizeof(key));
	return length ? arena_copy(arena, key, length) : arena_copy(arena, clean.p ? clean.p : "", clean.n);
}

static bool add(struct people_index *index, enum kind kind, const char *key, const char *id)
{
	if (key && *key)
		index->entries[index->count++] = (struct entry){kind, key, id};
	return key != NULL;
}

/* Equal keys of different people become one entry that is nobody's. */
static void unite(struct people_index *index)
{
	size_t kept = 0;
	for (size_t i = 0; i < index->count; i++) {
		struct entry *entry = &index->entries[i], *last = kept ? &index->entries[kept - 1] : NULL;
		if (!last || compare(last, entry) != 0)
			index->entries[kept++] = *entry;
		else if (!text_equal(last->id, entry->id))
			last->id = NULL;
	}
	index->count = kept;
}

struct people_index *people_index_make(struct arena *arena, const struct person *people, size_t count)
{
	struct people_index *index = arena_alloc(arena, sizeof(*index));
	struct entry *entries = arena_array(arena, count * 3 + 1, sizeof(*entries));
	if (!index || !entries)
		return NULL;
	*index = (struct people_index){entries, 0};
	for (size_t i = 0; i < count; i++) {
		struct str name = normalise_clean(str_of(people[i].name));
		size_t first = 0;
		while (first < name.n && name.p[first] != ' ')
			first++;
		bool fits = add(index, EXACT_ID, people[i].id, people[i].id);
		if (fits && name.n)
			fits = add(index, FULL_NAME, key_of(arena, name.p, name.n), people[i].id) && add(index, FIRST_NAME, key_of(arena, name.p, first), people[i].id);
		if (!fits)
			return NULL;
	}
	qsort(index->entries, index->count, sizeof(*index->entries), compare);
	unite(index);
	return index;
}

static const char *look_up(const struct people_index *index, enum kind kind, const char *key)
{
	const struct entry wanted = {kind, key, NULL};
	const struct entry *found = bsearch(&wanted, index->entries, index->count, sizeof(wanted), compare);
	return found ? found->id : NULL;
}

const char *people_find(const struct people_index *index, const char *name)
{
	char key[KEY_MAX + 1];
	struct str clean = normalise_clean(str_of(name));
	size_t n = normalise_key(clean, key, KEY_MAX);
	if (n == 0 && clean.n <= KEY_MAX) {
		memcpy(key, clean.p ? clean.p : "", clean.n);
		n = clean.n;
	}
	key[n] = '\0';
	const char *id = look_up(index, FULL_NAME, key);
	if (!id)
		id = look_up(index, FIRST_NAME, key);
	if (!id && clean.n <= KEY_MAX) {
		memcpy(key, clean.p ? clean.p : "", clean.n);
		key[clean.n] = '\0';
		id = look_up(index, EXACT_ID, key);
	}
	return id;
}

static enum err read_people(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work, struct people_index **ret)
{
	struct pg_rows rows;
	enum err err = pg_query_generated(&worker->pg, arena, schema_slot(work->target, SLOT_PEOPLE), work->target->people_sql, SCHEMA_PEOPLE_PARAMETERS,
	                                  PG_VALUES(work->space, pg_number(arena, PEOPLE_MAX + 1)), &rows);
	if (err)
		return err;
	if (rows.count > PEOPLE_MAX)
		return job_refuse(job, "too_many_people");
	struct person *people = arena_array(arena, (size_t)rows.count + 1, sizeof(*people));
	if (!people)
		return ERR_TOO_LARGE;
	for (int i = 0; i < rows.count; i++)
		people[i] = (struct person){pg_text(&rows, i, 0), pg_text(&rows, i, 1)};
	*ret = people_index_make(arena, people, (size_t)rows.count);
	return *ret ? OK : ERR_TOO_LARGE;
}

/* What the operator has said about the values of the field, or NULL. */
static enum err read_map(struct arena *arena, const struct import_work *work, const json_t **ret)
{
	json_t *map = NULL;
	enum err err = json_parse(arena, work->value_map, strlen(work->value_map), &map, NULL);
	*ret = json_object_get(map, work->target->table->import->assigned->name);
	return err;
}

enum err import_know_people(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work, const char *column)
{
	struct pg *pg = &worker->pg;
	struct people_index *index = NULL;
	struct pg_rows names;
	const json_t *map = NULL;
	enum err err = read_people(worker, arena, job, work, &index);
	if (!err)
		err = read_map(arena, work, &map);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_ASSIGNEES_FORGET, PG_VALUES(work->no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_NAMES, PG_VALUES(work->no, column, pg_number(arena, NAMES_MAX + 1)), &names);
	if (err || !index)
		return err ? err : ERR_BUG;
	if (names.count > NAMES_MAX)
		return job_refuse(job, "too_many_names");
	size_t count = (size_t)names.count;
	if (!index)
		return ERR_BUG;
	const char **values = arena_array(arena, count + 1, sizeof(*values)), **ids = arena_array(arena, count + 1, sizeof(*ids)),
	           **rows = arena_array(arena, count + 1, sizeof(*rows));
	if (!values || !ids || !rows)
		return ERR_TOO_LARGE;
	for (int i = 0; i < names.count; i++) {
		const char *said = json_text(map, pg_text(&names, i, 0));
		values[i] = pg_text(&names, i, 0);
		ids[i] = people_find(index, said ? said : values[i]);
		rows[i] = pg_text(&names, i, 1);
	}
	const char *value_list = pg_text_array(arena, values, count), *id_list = pg_text_array(arena, ids, count), *row_list = pg_text_array(arena, rows, count);
	if (!value_list || !id_list || !row_list)
		return ERR_TOO_LARGE;
	return pg_query(pg, arena, STMT_IMPORT_ASSIGNEES_PUT, PG_VALUES(work->no, value_list, id_list, row_list), NULL);
}
