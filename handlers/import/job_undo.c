/*
 * import.undo: what a completed import has written is taken back. Inserted records are removed, updated ones get their
 * before-image, each unless somebody has edited it since. Lanes and slices as in a commit (lanes.c), and no commit of the
 * space runs beside it (the queue's serial key). Ends in `undone`.
 * Must never change a staged row, an outcome or a line of history: what the import did stays written down.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/schema/undo_statements.h"
#include "handlers/import/lanes.h"

enum { SLICE_ARENA = 4 << 20 };

struct undo {
	struct worker *worker;
	struct arena *arena; /* of the job */
	struct arena slice;
	struct job *job;
	const struct import_work *work;
	const char *by; /* who asked for it */
	struct pg_scope scope;
};

struct slice_counts {
	int64_t rows, inserts, updates, kept, errored;
};

/* Runs one of the target's statements on a slice. */
static enum err run_statement(struct undo *undo, enum schema_slot_kind slot, const char *sql, const char *from, const char *to, struct pg_rows *ret)
{
	const struct import_work *work = undo->work;
	return pg_query_generated(&undo->worker->pg, &undo->slice, schema_slot(work->target, slot), sql, SCHEMA_UNDO_PARAMETERS,
	                          PG_VALUES(work->no, from, to, work->space, work->id, undo->by), ret);
}

/* What was not reversed is looked for only where something is missing. */
static enum err reverse_rows(struct undo *undo, const char *from, const char *to, struct slice_counts *counts)
{
	const struct schema_target *target = undo->work->target;
	struct pg_rows rows;
	int64_t done = 0;
	enum err err = OK;
	if (counts->inserts) {
		err = run_statement(undo, SLOT_UNDO_REMOVE, target->undo_remove_sql, from, to, &rows);
		done += err ? 0 : rows.affected;
	}
	if (!err && counts->updates && target->undo_restore_sql) {
		err = run_statement(undo, SLOT_UNDO_RESTORE, target->undo_restore_sql, from, to, &rows);
		done += err ? 0 : rows.affected;
	}
	if (err || done == counts->inserts + counts->updates)
		return err;
	err = run_statement(undo, SLOT_UNDO_KEEP, target->undo_keep_sql, from, to, &rows);
	if (err)
		return err;
	counts->kept = pg_i64(&rows, 0, 0);
	counts->errored = pg_i64(&rows, 0, 1);
	return OK;
}

static enum err count_slice(struct undo *undo, const char *from, const char *to, struct slice_counts *ret)
{
	struct pg_rows rows;
	enum err err = pg_query(&undo->worker->pg, &undo->slice, STMT_UNDO_SLICE, PG_VALUES(undo->work->no, from, to), &rows);
	if (!err)
		*ret = (struct slice_counts){.rows = pg_i64(&rows, 0, 0), .inserts = pg_i64(&rows, 0, 1), .updates = pg_i64(&rows, 0, 2)};
	return err;
}

/* For lanes_run. */
static enum err undo_slice(void *context, struct lane *lane, const char *from, const char *to, const char *refused_as)
{
	struct undo *undo = context;
	struct pg *pg = &undo->worker->pg;
	struct arena *arena = &undo->slice;
	const char *no = undo->work->no;
	struct slice_counts counts;
	struct pg_rows rows;
	enum err err = pg_begin(pg, &undo->scope);
	if (!err)
		err = pg_query(pg, arena, STMT_UNDO_BY_INDEX, PG_NONE, NULL);
	if (!err)
		err = count_slice(undo, from, to, &counts);
	if (!err && refused_as) {
		err = pg_query(pg, arena, STMT_UNDO_REFUSED, PG_VALUES(no, from, refused_as), NULL);
		counts.errored = 1;
	} else if (!err) {
		err = reverse_rows(undo, from, to, &counts);
	}
	if (!err)
		err = pg_query(pg, arena, STMT_UNDO_CHECKPOINT,
		               PG_VALUES(undo->job->id_text, undo->job->token, undo->job->lease, no, pg_number(arena, lane->number), to,
		                         pg_number(arena, counts.rows), pg_number(arena, counts.inserts + counts.updates - counts.kept - counts.errored),
		                         pg_number(arena, counts.kept), pg_number(arena, counts.errored)),
		               &rows);
	bool cancel = !err && pg_bool(&rows, 0, 0);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	if (err)
		return err;
	undo->job->cancelled = cancel;
	metrics_add(METRIC_ROWS_UNDONE, counts.rows);
	return OK;
}

/* The lanes of the commit have done their part; from here on they are the undo's. */
static enum err make_lanes(struct undo *undo)
{
	struct pg *pg = &undo->worker->pg;
	struct arena *arena = undo->arena;
	const char *no = undo->work->no;
	enum err err = pg_begin(pg, &undo->scope);
	if (!err)
		err = job_beat(undo->worker, arena, undo->job);
	if (!err)
		err = pg_query(pg, arena, STMT_UNDO_PARTITION, PG_VALUES(no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_LANES_FORGET, PG_VALUES(no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_LANES_MAKE,
		               PG_VALUES(no, pg_number(arena, undo->worker->config->import_lanes), pg_number(arena, LANE_ROWS_MIN)), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_UNDO_PLANNED, PG_VALUES(no), NULL);
	return err ? err : pg_commit(pg);
}

static enum err complete(struct undo *undo)
{
	struct pg *pg = &undo->worker->pg;
	struct pg_rows rows;
	enum err err = pg_begin(pg, &undo->scope);
	if (!err)
		err = pg_query(pg, undo->arena, STMT_UNDO_LEDGER, PG_VALUES(undo->work->no), &rows);
	if (!err && !pg_bool(&rows, 0, 0)) {
		log_write(LOG_LEVEL_ERROR, "undo_mismatch", LOG_TEXT("import", undo->work->id), LOG_INT("reversed", pg_i64(&rows, 0, 1)),
		          LOG_INT("kept", pg_i64(&rows, 0, 2)), LOG_INT("errored", pg_i64(&rows, 0, 3)));
		return job_refuse(undo->job, "undo_mismatch");
	}
	/* A cancel came before and is seen here, or it waits and finds the import undone. */
	if (!err)
		err = job_beat(undo->worker, undo->arena, undo->job);
	if (!err && undo->job->cancelled) {
		pg_rollback(pg);
		return import_cancelled(undo->worker, undo->arena, undo->job, undo->work);
	}
	if (!err)
		err = pg_query(pg, undo->arena, STMT_IMPORT_MOVE, PG_VALUES(undo->work->no, "undone"), NULL);
	if (!err)
		err = job_end(undo->worker, undo->arena, undo->job, "done");
	return err ? err : pg_commit(pg);
}

static enum err run(struct undo *undo)
{
	struct lanes lanes = {
	    .worker = undo->worker,
	    .arena = undo->arena,
	    .slice = &undo->slice,
	    .job = undo->job,
	    .work = undo->work,
	    .write = undo_slice,
	    .context = undo,
	};
	struct pg_rows rows;
	enum err err = pg_query(&undo->worker->pg, undo->arena, STMT_UNDO_STATE, PG_VALUES(undo->work->no), &rows);
	if (!err) {
		undo->by = pg_text(&rows, 0, 0);
		undo->scope = (struct pg_scope){undo->by, undo->work->space, "worker"};
		/* Of a table that it believes empty, the planner would read all for every slice. */
		err = import_know_records(undo->worker, undo->arena, undo->work);
	}
	if (!err && !pg_bool(&rows, 0, 1))
		err = make_lanes(undo);
	if (!err)
		err = lanes_run(&lanes);
	if (!err) /* a cancel that only another lane has seen */
		err = job_beat(undo->worker, undo->arena, undo->job);
	if (!err && undo->job->cancelled)
		return import_cancelled(undo->worker, undo->arena, undo->job, undo->work);
	return err ? err : complete(undo);
}

enum err import_undo_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct import_work work;
	bool go;
	enum err err = import_begin(worker, arena, job, "undoing", "undoing", &work, &go);
	if (err || !go)
		return err ? err : import_nothing(worker, arena, job);
	struct undo undo = {.worker = worker, .arena = arena, .job = job, .work = &work};
	arena_init(&undo.slice, SLICE_ARENA);
	err = run(&undo);
	pg_rollback(&worker->pg);
	arena_release(&undo.slice);
	return err;
}
