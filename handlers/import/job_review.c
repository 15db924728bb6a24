/*
 * import.review: after rows were changed by hand, duplicates are marked anew; for a dry run, the commit is planned, counted
 * and taken back. Goes on until nothing is left to do, so that a change that comes meanwhile is never missed.
 * Must never touch an import that is not ready: its commit plans for itself.
 */
#include "core/schema/statements.h"
#include "handlers/import/assignees.h"
#include "handlers/import/commit_options.h"
#include "handlers/import/job_common.h"

enum { REVIEW_ARENA = 64 << 20 };

struct review {
	struct worker *worker;
	struct arena arena; /* of one round */
	struct job *job;
	struct import_work work;
};

static enum err mark(struct review *review)
{
	struct pg *pg = &review->worker->pg;
	struct arena *arena = &review->arena;
	const struct import_work *work = &review->work;
	struct pg_rows counts, warnings, kept = {0};
	enum err err = import_open_marks(review->worker, arena, work);
	if (!err)
		err = import_mark_all(review->worker, arena, work, &counts);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_WARNINGS, PG_VALUES(work->no), &warnings);
	if (!err)
		err = job_beat(review->worker, arena, review->job);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_REVIEWED,
		               PG_VALUES(work->no, pg_number(arena, work->edits), pg_text(&counts, 0, 0), pg_text(&counts, 0, 1), pg_text(&warnings, 0, 0)), &kept);
	if (!err && kept.count)
		err = import_make_report(review->worker, arena, work);
	if (!err && kept.count)
		err = pg_commit(pg);
	pg_rollback(pg);
	return err;
}

/* The plan of the options asked for, counted; the caller takes it back. */
static enum err count_plan(struct review *review, struct pg_rows *ret)
{
	struct pg *pg = &review->worker->pg;
	struct arena *arena = &review->arena;
	const struct import_work *work = &review->work;
	struct commit_plan plan;
	enum err err = commit_plan_read(arena, work, &plan);
	if (!err)
		err = import_open_marks(review->worker, arena, work);
	if (!err)
		err = import_plan_rows(review->worker, arena, work, &plan);
	if (!err && plan.column)
		err = import_know_people(review->worker, arena, review->job, work, plan.column);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_PREVIEW_COUNT, PG_VALUES(work->no, plan.user, plan.users, plan.column), ret);
	return err;
}

static enum err preview(struct review *review)
{
	struct pg *pg = &review->worker->pg;
	struct arena *arena = &review->arena;
	struct import_work *work = &review->work;
	struct pg_rows asked, counted;
	enum err err = pg_query(pg, arena, STMT_IMPORT_PREVIEW_REQUEST, PG_VALUES(work->no), &asked);
	if (err)
		return err;
	if (asked.count == 0 || !pg_text(&asked, 0, 3))
		return OK;
	work->assignment = pg_text(&asked, 0, 0);
	work->duplicates = pg_text(&asked, 0, 1);
	work->defaults = pg_text(&asked, 0, 2);
	const char *result = NULL;
	err = count_plan(review, &counted);
	if (!err)
		result = pg_text(&counted, 0, 0);
	pg_rollback(pg);
	/* What would make the commit fail is what the preview has to say. */
	if (err == ERR_INVALID && *review->job->failure) {
		result = arena_printf(arena, "{\"error\": \"%s\"}", review->job->failure);
		*review->job->failure = '\0';
		err = result ? OK : ERR_TOO_LARGE;
	}
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_PREVIEW_SAVE, PG_VALUES(work->no, result, pg_number(arena, work->edits), pg_text(&asked, 0, 3)), NULL);
	return err;
}

/* *ret_more false: nothing was left to do, and the job has ended. Whoever changes the import holds the same lock before (import_review). */
static enum err end(struct review *review, const char *no, bool *ret_marks, bool *ret_more)
{
	struct pg *pg = &review->worker->pg;
	struct arena *arena = &review->arena;
	struct pg_rows due = {0};
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_REVIEW_ALONE, PG_VALUES(no), NULL);
	if (!err)
		err = job_beat(review->worker, arena, review->job);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_REVIEW_DUE, PG_VALUES(no), &due);
	*ret_marks = !err && due.count && pg_bool(&due, 0, 0);
	*ret_more = *ret_marks || (!err && due.count && pg_bool(&due, 0, 1));
	if (!err && !*ret_more)
		err = job_end(review->worker, arena, review->job, "done");
	if (!err && !*ret_more)
		err = pg_commit(pg);
	pg_rollback(pg);
	return err;
}

enum err import_review_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct review review = {.worker = worker, .job = job};
	const char *no = pg_number(arena, json_integer_value(json_object_get(job->args, "no")));
	bool marks = false, more = true, go = false;
	arena_init(&review.arena, REVIEW_ARENA);
	enum err err = end(&review, no, &marks, &more);
	while (!err && more && !jobs_stopping()) {
		arena_reset(&review.arena);
		err = import_look(worker, &review.arena, job, &review.work, &go);
		if (!err && go)
			err = marks ? mark(&review) : preview(&review);
		if (!err)
			err = end(&review, no, &marks, &more);
	}
	pg_rollback(&worker->pg);
	arena_release(&review.arena);
	return !err && more ? ERR_UNAVAILABLE : err;
}
