/*
 * sqlite.import: a batch from its file, or from what a parser elsewhere has sent, to refined rows. Mirrored in batches with checkpoints,
 * refined in one transaction that also makes it its owner's data. Taken again, it goes on after the last checkpoint.
 * Must never parse the file in this process, nor believe a row before the reader has said END.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/store/store.h"
#include "handlers/sqlite/handlers.h"
#include "handlers/sqlite/snapshot.h"
#include "readers/reader.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUTPUT_BASE = 64 << 20, OUTPUT_PER_BYTE = 32 };

/* Columns of the statement sqlite_begin. */
enum { B_ID, B_SPACE, B_OWNER, B_OBJECT, B_HASH, B_PROFILE, B_PARSER, B_MIRRORED, B_TABLE_AT, B_ROW_AT, B_ROWS_DONE, B_STATUS, B_TABLE_ROWS };

struct batch {
	struct worker *worker;
	struct arena *arena;
	struct job *job;
	const char *no;
	struct pg_rows row;
	struct mirror mirror;
	bool resumed;
};

static const char *text_of(const struct batch *batch, int column)
{
	return pg_text(&batch->row, 0, column);
}

/* Its own statement and its own commit: when the job is given up, the reason is there to be shown. */
enum err sqlite_check_profile(struct mirror *mirror)
{
	struct pg *pg = &mirror->worker->pg;
	struct pg_rows rows;
	enum err err = pg_query(pg, mirror->arena, STMT_SQLITE_TROUBLE, PG_VALUES(mirror->no), &rows);
	if (err || rows.count == 0)
		return err;
	err = pg_query(pg, mirror->arena, STMT_SQLITE_NOTE_DETAIL, PG_VALUES(mirror->no, pg_text(&rows, 0, 1)), NULL);
	return err ? err : job_refuse(mirror->job, pg_text(&rows, 0, 0));
}

static enum err take_meta(struct batch *batch, const struct frame *frame)
{
	const char *meta = arena_copy(batch->arena, frame->payload.p, frame->payload.n);
	if (!meta)
		return ERR_TOO_LARGE;
	if (batch->resumed)
		return OK;
	enum err err = mirror_tables(&batch->mirror, meta);
	return err ? err : sqlite_check_profile(&batch->mirror);
}

static enum err take_rows(struct batch *batch, const struct frame *frame, struct value *values)
{
	struct mirror *mirror = &batch->mirror;
	struct values_cursor cursor;
	struct value_row row;
	enum err err = OK;
	values_open(&cursor, frame, values);
	while (!err && !batch->job->cancelled && values_next(&cursor, &row))
		err = mirror_row(mirror, &row, cursor.cells);
	if (!err && mirror->total > batch->worker->config->sqlite_max_rows)
		err = job_refuse(batch->job, "too_many_rows");
	return err;
}

static enum err take_frame(struct batch *batch, const struct frame *frame, struct value *values)
{
	switch (frame->type) {
	case FRAME_META:
		return take_meta(batch, frame);
	case FRAME_TABLE: {
		int64_t table = values_table_read(frame).index;
		bool at_hand = batch->resumed && table == pg_i64(&batch->row, 0, B_TABLE_AT);
		return mirror_table(&batch->mirror, table, at_hand ? pg_i64(&batch->row, 0, B_ROW_AT) : 0, at_hand ? pg_i64(&batch->row, 0, B_TABLE_ROWS) : 0);
	}
	case FRAME_VALUES:
		return take_rows(batch, frame, values);
	case FRAME_TABLE_END:
		return mirror_table_end(&batch->mirror, (int64_t)values_table_end_read(frame).left_out);
	case FRAME_ROWS:
	case FRAME_NOTE: /* what they say of the file stands in META, what they say of rows in TABLE_END */
	case FRAME_END:
	case FRAME_FAIL:
	case FRAME_TYPE_COUNT:
		break;
	}
	return OK;
}

static enum err verdict(struct batch *batch, const struct reader_result *result, int64_t before)
{
	if (result->verdict != READER_OK) {
		log_write(LOG_LEVEL_WARN, "reader_verdict", LOG_TEXT("code", result->code), LOG_TEXT("message", result->message),
		          LOG_INT("waitStatus", result->wait_status));
		return job_refuse(batch->job, result->code);
	}
	return (int64_t)result->end.rows + before == batch->mirror.total ? OK : job_refuse(batch->job, "ledger_mismatch");
}

/* Small numbers, and columns added later with a default, take less room in the file than on their way to us; nothing honest takes so much. */
static int64_t output_limit(int fd)
{
	struct stat file;
	return fstat(fd, &file) ? OUTPUT_BASE : OUTPUT_BASE + OUTPUT_PER_BYTE * (int64_t)file.st_size;
}

static enum err read_file(struct batch *batch, int fd)
{
	const char *extra[] = {"--from-table", text_of(batch, B_TABLE_AT), "--skip-rows", text_of(batch, B_ROW_AT), NULL};
	struct reader_options options = reader_options_of(batch->arena, batch->worker->config);
	int64_t before = batch->mirror.total;
	struct reader reader;
	struct frame frame;
	struct value *values = arena_array(batch->arena, FRAME_CELLS_MAX, sizeof(*values));
	options.format = "sqlite";
	options.mode = "rows";
	options.input = fd;
	options.extra = batch->resumed ? extra : NULL;
	options.tables = true;
	options.output_bytes = output_limit(fd);
	if (!values)
		return ERR_TOO_LARGE;
	enum err err = reader_start(&reader, batch->arena, &options);
	if (err)
		return err == ERR_IO ? job_refuse(batch->job, "parser_not_started") : err;
	while (!err && !batch->job->cancelled && reader_next(&reader, &frame) == READER_FRAME)
		err = take_frame(batch, &frame, values);
	struct reader_result result = reader_finish(&reader);
	return err || batch->job->cancelled ? err : verdict(batch, &result, before);
}

static enum err mirror_file(struct batch *batch)
{
	char hash[SHA256_HEX_SIZE] = "";
	const char *known = text_of(batch, B_HASH);
	int fd = -1;
	enum err err = store_open_known(batch->worker->config, text_of(batch, B_OBJECT), known, known ? NULL : hash, NULL, &fd);
	if (err == ERR_UNAVAILABLE || err == ERR_TIMEOUT)
		return err;
	if (err)
		return job_refuse(batch->job, err == ERR_CONFLICT ? "file_changed" : err == ERR_NOT_FOUND ? "file_gone" : "file_unreadable");
	if (!known)
		err = pg_query(&batch->worker->pg, batch->arena, STMT_SQLITE_KNOW_HASH, PG_VALUES(batch->no, hash), NULL);
	if (!err)
		err = read_file(batch, fd);
	close(fd);
	return err;
}

static enum err mirror(struct batch *batch)
{
	struct pg_rows *row = &batch->row;
	int64_t done = pg_i64(row, 0, B_ROWS_DONE);
	batch->resumed = done > 0 || pg_i64(row, 0, B_TABLE_AT) > 0;
	mirror_open(&batch->mirror, batch->worker, batch->arena, batch->job, batch->no, done);
	enum err err = text_equal(text_of(batch, B_PARSER), "external") ? snapshot_mirror(&batch->mirror) : mirror_file(batch);
	if (!err && !batch->job->cancelled)
		err = mirror_finish(&batch->mirror);
	mirror_close(&batch->mirror);
	return err;
}

/* Refined rows, counts, the switch of the owner's data and the end of the job: all or nothing. The lease is renewed by the process
   beside us meanwhile; a cancel that comes now comes too late. */
static enum err refine(struct batch *batch)
{
	struct pg *pg = &batch->worker->pg;
	const struct pg_scope scope = {text_of(batch, B_OWNER), text_of(batch, B_SPACE), "worker"};
	enum err err = pg_begin(pg, &scope);
	if (!err)
		err = pg_query(pg, batch->arena, STMT_SQLITE_REFINE, PG_VALUES(batch->no), NULL);
	if (!err)
		err = job_end(batch->worker, batch->arena, batch->job, "done");
	if (!err)
		err = pg_query(pg, batch->arena, STMT_SQLITE_COMPLETE, PG_VALUES(batch->no), NULL);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	if (!err)
		metrics_add(METRIC_SQLITE_BATCHES, 1);
	return err;
}

static enum err end_cancelled(struct batch *batch)
{
	struct pg *pg = &batch->worker->pg;
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = job_end(batch->worker, batch->arena, batch->job, "cancelled");
	if (!err)
		err = pg_query(pg, batch->arena, STMT_SQLITE_FAIL, PG_VALUES(batch->no, "cancelled", NULL), NULL);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	return err;
}

enum err sqlite_import_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct batch batch = {.worker = worker, .arena = arena, .job = job};
	batch.no = pg_number(arena, json_integer_value(json_object_get(job->args, "no")));
	enum err err = pg_query(&worker->pg, arena, STMT_SQLITE_BEGIN, PG_VALUES(job->id_text, job->token, job->lease, batch.no), &batch.row);
	if (err)
		return err;
	if (batch.row.count == 0)
		return job_end(worker, arena, job, "done");
	if (!pg_bool(&batch.row, 0, B_MIRRORED))
		err = mirror(&batch);
	if (err)
		return err;
	return job->cancelled ? end_cancelled(&batch) : refine(&batch);
}

/* The queue gave the job up: the batch failed with the same code. */
static enum err on_dead(struct worker *worker, struct arena *arena, int64_t job_id, const char *code)
{
	return pg_query(&worker->pg, arena, STMT_SQLITE_FAIL_JOB, PG_VALUES(pg_number(arena, job_id), code), NULL);
}

const struct job_kind sqlite_job_kinds[] = {
    {"sqlite.import", sqlite_import_run, on_dead},
    {"sqlite.retention", sqlite_retention_run, NULL},
};
const size_t sqlite_job_kind_count = sizeof(sqlite_job_kinds) / sizeof(sqlite_job_kinds[0]);
