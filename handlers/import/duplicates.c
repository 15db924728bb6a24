/*
 * Duplicates, decided in sets: one statement per key, never a loop over rows. Called at the end of a parse (to show them)
 * and at the start of a commit (to act on them). Must never decide about a row twice: the first mark stays.
 */
#include "core/schema/statements.h"
#include "handlers/import/commit_options.h"
#include "handlers/import/job_common.h"

enum err import_know_records(struct worker *worker, struct arena *arena, const struct import_work *work)
{
	return pg_query_generated(&worker->pg, arena, schema_slot(work->target, SLOT_ANALYZE), work->target->analyze_sql, 0, PG_NONE, NULL);
}

enum err import_open_marks(struct worker *worker, struct arena *arena, const struct import_work *work)
{
	const struct pg_scope scope = {work->created_by, work->space, "worker"};
	struct pg *pg = &worker->pg;
	enum err err = import_know_records(worker, arena, work);
	if (!err)
		err = pg_begin(pg, &scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_SETS, PG_NONE, NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_ALONE, PG_VALUES(work->no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_ANALYZE, PG_VALUES(work->no, "import_row"), NULL);
	return err;
}

static enum err know_outcomes(struct worker *worker, struct arena *arena, const struct import_work *work)
{
	return pg_query(&worker->pg, arena, STMT_IMPORT_ANALYZE, PG_VALUES(work->no, "import_outcome"), NULL);
}

enum err import_mark_all(struct worker *worker, struct arena *arena, const struct import_work *work, struct pg_rows *ret_counts)
{
	struct pg *pg = &worker->pg;
	enum err err = pg_query(pg, arena, STMT_IMPORT_FORGET_OUTCOMES, PG_VALUES(work->no), NULL);
	if (!err && work->edits)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_DECIDED, PG_VALUES(work->no), NULL);
	if (!err)
		err = import_mark(worker, arena, work, NULL, false, SCHEMA_ACTION_MARKED, SCHEMA_ACTION_MARKED);
	if (!err)
		err = know_outcomes(worker, arena, work);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_COUNT_MARKS, PG_VALUES(work->no), ret_counts);
	return err;
}

enum err import_match(struct worker *worker, struct arena *arena, const struct import_work *work, const bool *keys, const char *first, const char *last,
                      const char *action)
{
	struct pg *pg = &worker->pg;
	const struct schema_target *target = work->target;
	enum err err = pg_query(pg, arena, STMT_IMPORT_NESTED_LOOPS, PG_VALUES("on"), NULL);
	for (size_t k = 0; !err && k < target->table->import->key_count; k++)
		if (!keys || keys[k])
			err = pg_query_generated(pg, arena, schema_slot(target, SLOT_MATCH) + (unsigned)k, target->match_sql[k], SCHEMA_MATCH_PARAMETERS,
			                         PG_VALUES(work->no, first, last, work->space, action), NULL);
	return err ? err : pg_query(pg, arena, STMT_IMPORT_NESTED_LOOPS, PG_VALUES("off"), NULL);
}

enum err import_mark(struct worker *worker, struct arena *arena, const struct import_work *work, const bool *keys, bool file_known, int in_file,
                     int in_database)
{
	struct pg *pg = &worker->pg;
	const struct schema_import *import = work->target->table->import;
	const char *file_action = pg_number(arena, in_file), *database_action = in_database < 0 ? NULL : pg_number(arena, in_database);
	enum err err = OK;
	for (size_t k = 0; !err && !file_known && k < import->key_count; k++)
		if (!keys || keys[k])
			err = pg_query(pg, arena, STMT_IMPORT_MARK_IN_FILE,
			               PG_VALUES(work->no, pg_number(arena, (int64_t)k + 1), file_action, "duplicate_in_file"), NULL);
	if (!err)
		err = import_match(worker, arena, work, keys, "0", "2147483647", database_action);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_SAME_RECORD, PG_VALUES(work->no, file_action), NULL);
	return err;
}

static bool all_keys(const struct import_work *work, const struct commit_plan *plan)
{
	bool all = true;
	for (size_t k = 0; k < work->target->table->import->key_count; k++)
		all = all && plan->keys[k];
	return all;
}

/* Marks that the parse has made of the file are good while no row was changed. */
enum err import_plan_rows(struct worker *worker, struct arena *arena, const struct import_work *work, const struct commit_plan *plan)
{
	struct pg *pg = &worker->pg;
	bool edited = work->edits > 0, file_known = !edited && !plan->create && all_keys(work, plan);
	int in_database = plan->create ? -1 : plan->update ? SCHEMA_ACTION_UPDATE : SCHEMA_ACTION_SKIP;
	enum err err = file_known ? pg_query(pg, arena, STMT_IMPORT_KEEP_IN_FILE, PG_VALUES(work->no, pg_number(arena, SCHEMA_ACTION_SKIP)), NULL)
	                          : pg_query(pg, arena, STMT_IMPORT_FORGET_OUTCOMES, PG_VALUES(work->no), NULL);
	if (!err && edited)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_DECIDED, PG_VALUES(work->no), NULL);
	if (!err && (edited || !plan->create))
		err = import_mark(worker, arena, work, plan->keys, file_known || plan->create, SCHEMA_ACTION_SKIP, in_database);
	return err ? err : know_outcomes(worker, arena, work);
}
