/*
 * import.parse: every row of the file, checked and normalised, into the import's partition. A sandboxed reader sends
 * rows; every batch_rows rows (500) one transaction holds the COPY, the counters, the checkpoint and the lease. A parse
 * that is taken again goes on after the last checkpoint. Ends in `ready`.
 * Must never keep more than a batch in memory, nor decide about a row by anything but check.h.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/schema/statements.h"
#include "handlers/import/copy_rows.h"
#include "handlers/import/error_file.h"
#include "handlers/import/job_common.h"
#include "handlers/import/mapping_change.h"

#include <string.h>
#include <unistd.h>

enum { BATCH_ARENA = 8 << 20, COPY_MAX = 8 << 20, COPY_SEND = 128 << 10 };

/* A batch on its way: its own connection and transaction. */
struct batch {
	struct pg *pg;
	struct buf copy;
	bool open;   /* its transaction and COPY are */
	bool closed; /* all rows are sent, PostgreSQL has not answered yet */
	int64_t rows, valid, invalid;
	int64_t last_row; /* number of the last row put */
};

/*
 * Two batches alternate on two connections: while PostgreSQL works on one, the next is being filled. They are committed in
 * the order of their rows, so that a checkpoint always means that everything before it is there.
 */
struct parse {
	struct worker *worker;
	struct arena *arena; /* of the job */
	struct job *job;
	const struct import_work *work;
	struct import_check check;
	struct arena scratch; /* of a batch */
	struct pg second;
	struct batch batches[2];
	unsigned filling; /* the one that rows go to */
	bool own_report;  /* the file is an error report of ours: its protection against formulas is taken off again */
	int64_t job_no;
	int64_t total; /* rows of the import so far, this run included */
};

/* What the reader noticed about a row, as issues of the row. Short and long rows are judged by the check itself. */
static void add_flags(struct import_checked *checked, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		enum row_code code;
	} meanings[] = {
	    {ROW_FLAG_INVALID_BYTES, ROW_INVALID_BYTES},   {ROW_FLAG_MIXED_ENCODING, ROW_MIXED_ENCODING}, {ROW_FLAG_NUL_REMOVED, ROW_NUL_REMOVED},
	    {ROW_FLAG_FIELD_TOO_LONG, ROW_FIELD_TOO_LONG}, {ROW_FLAG_UNCLOSED_QUOTE, ROW_UNCLOSED_QUOTE}, {ROW_FLAG_RECORD_TOO_LONG, ROW_RECORD_TOO_LONG},
	};
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (flags & meanings[i].flag)
			import_checked_add(checked, IMPORT_WHOLE_ROW, meanings[i].code, row_code_severity(meanings[i].code));
}

static enum err send_copy(struct batch *batch)
{
	enum err err = pg_copy_put(batch->pg, buf_text(&batch->copy), batch->copy.len);
	buf_clear(&batch->copy);
	return err;
}

/* The transaction of a batch opens with its first row, so that PostgreSQL works while we parse. */
static enum err open_batch(struct batch *batch)
{
	enum err err = pg_begin(batch->pg, NULL);
	if (!err)
		err = pg_copy_start(batch->pg, STMT_IMPORT_COPY);
	if (!err)
		err = copy_rows_open(&batch->copy);
	batch->open = !err;
	return err;
}

/* Waits for PostgreSQL, then checkpoint, lease and cancel check in the same transaction. */
static enum err commit_batch(struct parse *parse, struct batch *batch)
{
	struct arena *scratch = &parse->scratch;
	struct pg_rows rows;
	if (!batch->closed)
		return OK;
	enum err err = pg_copy_wait(batch->pg);
	if (!err)
		err = pg_query(batch->pg, scratch, STMT_IMPORT_CHECKPOINT,
		               PG_VALUES(parse->job->id_text, parse->job->token, parse->job->lease, parse->work->no, pg_number(scratch, batch->last_row),
		                         pg_number(scratch, batch->valid), pg_number(scratch, batch->invalid)),
		               &rows);
	bool cancel = !err && pg_bool(&rows, 0, 0);
	if (!err)
		err = pg_commit(batch->pg);
	if (err)
		return err;
	parse->job->cancelled = parse->job->cancelled || cancel;
	metrics_add(METRIC_ROWS_PARSED, batch->rows);
	batch->closed = false;
	batch->rows = batch->valid = batch->invalid = 0;
	return OK;
}

/* Sends the end of the batch at hand and turns to the other one, whose earlier rows are committed first. */
static enum err close_batch(struct parse *parse)
{
	struct batch *batch = &parse->batches[parse->filling];
	if (!batch->open)
		return OK;
	batch->open = false;
	enum err err = copy_rows_close(&batch->copy);
	if (!err)
		err = send_copy(batch);
	if (!err)
		err = pg_copy_end(batch->pg);
	if (err)
		return err;
	batch->closed = true;
	parse->filling ^= 1;
	err = commit_batch(parse, &parse->batches[parse->filling]);
	arena_reset(&parse->scratch);
	import_check_start(&parse->check, &parse->scratch);
	return !err && jobs_stopping() ? ERR_UNAVAILABLE : err;
}

static enum err put_row(struct parse *parse, const struct frame_row *row)
{
	struct batch *batch = &parse->batches[parse->filling];
	struct import_checked checked;
	const struct str *cells = row->cells;
	if (++parse->total > parse->worker->config->import_max_rows)
		return job_refuse(parse->job, "too_many_rows");
	if (parse->own_report)
		cells = error_file_unprotect(&parse->scratch, row->cells, row->cell_count);
	enum err err = cells ? import_check_row(&parse->check, cells, row->cell_count, &checked) : ERR_TOO_LARGE;
	if (err)
		return err;
	add_flags(&checked, row->flags);
	if (!batch->open)
		err = open_batch(batch);
	if (!err)
		err = copy_rows_put(&batch->copy, parse->job_no, (int32_t)row->number, parse->work->target->table, cells, row->cell_count, &checked);
	if (err)
		return err;
	batch->rows++;
	batch->valid += checked.valid;
	batch->invalid += !checked.valid;
	batch->last_row = (int64_t)row->number;
	if (batch->rows >= parse->worker->config->import_batch_rows)
		return close_batch(parse);
	return batch->copy.len >= COPY_SEND ? send_copy(batch) : OK;
}

static enum err put_rows(struct parse *parse, struct reader *reader, const struct frame *frame)
{
	struct frame_cursor cursor;
	struct frame_row row;
	enum err err = OK;
	reader_rows(reader, frame, &cursor);
	while (!err && !parse->job->cancelled && frame_row_next(&cursor, &row))
		err = row.number > INT32_MAX ? job_refuse(parse->job, "too_many_rows") : put_row(parse, &row);
	return err;
}

/* Rows from the checkpoint on. *ret_rows: what the reader says it sent, to be compared with what was stored. */
static enum err read_rows(struct parse *parse, uint64_t *ret_rows)
{
	const struct import_work *work = parse->work;
	const char *text[] = {"--encoding", work->encoding, "--delimiter", text_equal(work->delimiter, "\t") ? "tab" : work->delimiter,
	                      "--header-row", pg_number(parse->arena, work->header_row), "--skip-rows", pg_number(parse->arena, work->parsed_to), NULL};
	const char *workbook[] = {"--sheet", work->sheet, "--header-row", pg_number(parse->arena, work->header_row), "--skip-rows",
	                          pg_number(parse->arena, work->parsed_to), NULL};
	struct reader reader;
	struct frame frame;
	int fd = -1;
	enum err err = import_open(parse->worker, parse->job, work, NULL, NULL, &fd);
	if (err)
		return err;
	err = import_read(parse->worker, parse->arena, fd, "rows", work->sheet ? workbook : text, &reader);
	if (err) {
		close(fd);
		return err;
	}
	while (!err && !parse->job->cancelled && reader_next(&reader, &frame) == READER_FRAME)
		if (frame.type == FRAME_ROWS)
			err = put_rows(parse, &reader, &frame);
	struct reader_result result = reader_finish(&reader);
	close(fd);
	if (!err && !parse->job->cancelled)
		err = import_verdict(parse->job, &result);
	if (!err && !parse->job->cancelled)
		err = close_batch(parse);
	/* close_batch has turned to the older one; the younger one is the last */
	if (!err && !parse->job->cancelled)
		err = commit_batch(parse, &parse->batches[parse->filling]);
	if (!err && !parse->job->cancelled)
		err = commit_batch(parse, &parse->batches[parse->filling ^ 1]);
	*ret_rows = result.end.rows;
	return err;
}

/* Values of closed lists that were not understood, with the columns they stand in: JSON. */
static enum err list_unknown_values(struct parse *parse, const char **ret)
{
	static const enum row_code codes[] = {ROW_STATUS_UNKNOWN, ROW_VALUE_UNKNOWN};
	const char *issues[SCHEMA_FIELDS_MAX * 2], *fields[SCHEMA_FIELDS_MAX * 2], *columns[SCHEMA_FIELDS_MAX * 2];
	struct arena *arena = parse->arena;
	struct pg_rows rows;
	size_t count = 0;
	for (size_t i = 0; i < parse->check.pick_count; i++) {
		const struct import_pick *pick = &parse->check.picks[i];
		for (size_t c = 0; pick->values && c < sizeof(codes) / sizeof(codes[0]); c++, count++) {
			issues[count] = arena_printf(arena, "%s:%s", pick->field->name, row_code_name(codes[c]));
			fields[count] = pick->field->name;
			columns[count] = pg_number(arena, (int64_t)pick->column + 1);
			if (!issues[count])
				return ERR_TOO_LARGE;
		}
	}
	*ret = "[]";
	if (!count)
		return OK;
	enum err err = pg_query(&parse->worker->pg, arena, STMT_IMPORT_UNKNOWN_VALUES,
	                        PG_VALUES(parse->work->no, pg_text_array(arena, issues, count), pg_text_array(arena, fields, count),
	                                  pg_text_array(arena, columns, count)),
	                        &rows);
	if (!err)
		*ret = pg_text(&rows, 0, 0);
	return err;
}

static enum err finish(struct parse *parse)
{
	struct pg *pg = &parse->worker->pg;
	struct arena *arena = parse->arena;
	const struct import_work *work = parse->work;
	const char *unknown = NULL;
	struct pg_rows counts, warnings;
	enum err err = import_open_marks(parse->worker, arena, work);
	if (!err)
		err = import_mark_all(parse->worker, arena, work, &counts);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_WARNINGS, PG_VALUES(work->no), &warnings);
	if (!err)
		err = list_unknown_values(parse, &unknown);
	/* The job is locked from here on: a cancel came before and is seen, or it waits and finds the import ready. */
	if (!err)
		err = job_beat(parse->worker, arena, parse->job);
	if (!err && parse->job->cancelled)
		return OK;
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_PARSED,
		               PG_VALUES(work->no, pg_text(&counts, 0, 0), pg_text(&counts, 0, 1), pg_text(&warnings, 0, 0), unknown), NULL);
	if (!err)
		err = import_make_report(parse->worker, arena, work);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_MOVE, PG_VALUES(work->no, "ready"), NULL);
	if (!err)
		err = job_end(parse->worker, arena, parse->job, "done");
	return err ? err : pg_commit(pg);
}

static enum err prepare(struct parse *parse)
{
	const struct import_work *work = parse->work;
	const struct schema_table *table = work->target->table;
	const int *fields = NULL;
	enum err err = mapping_by_column(parse->arena, work->mapping, table, (size_t)work->columns, &fields);
	if (!err)
		err = import_check_init(&parse->check, parse->arena, table, fields, (size_t)work->columns, work->sheet != NULL);
	if (!err)
		err = import_check_map(&parse->check, parse->arena, work->value_map);
	if (!err)
		err = error_file_is(parse->worker, parse->arena, work, &parse->own_report);
	if (!err && work->parsed_to == 0)
		err = pg_query(&parse->worker->pg, parse->arena, STMT_IMPORT_PARTITIONS, PG_VALUES(work->no), NULL);
	import_check_start(&parse->check, &parse->scratch);
	return err;
}

static enum err run(struct parse *parse)
{
	uint64_t rows = 0;
	enum err err = prepare(parse);
	if (!err)
		err = read_rows(parse, &rows);
	if (!err && !parse->job->cancelled && parse->total != parse->work->rows_total + (int64_t)rows)
		return job_refuse(parse->job, "ledger_mismatch");
	if (!err && !parse->job->cancelled && parse->total == 0) /* the inspection can tell only of small files */
		return job_refuse(parse->job, "no_rows");
	if (!err && !parse->job->cancelled)
		err = finish(parse);
	if (err || !parse->job->cancelled)
		return err;
	pg_rollback(parse->batches[0].pg);
	pg_rollback(parse->batches[1].pg);
	return import_cancelled(parse->worker, parse->arena, parse->job, parse->work);
}

enum err import_parse_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct import_work work;
	bool go;
	enum err err = import_begin(worker, arena, job, "queued", "parsing", &work, &go);
	if (err || !go)
		return err ? err : import_nothing(worker, arena, job);
	struct parse parse = {.worker = worker, .arena = arena, .job = job, .work = &work, .total = work.rows_total};
	parse.job_no = json_integer_value(json_object_get(job->args, "no"));
	arena_init(&parse.scratch, BATCH_ARENA);
	pg_init(&parse.second, &worker->pg.options);
	parse.batches[0].pg = &worker->pg;
	parse.batches[1].pg = &parse.second;
	for (int i = 0; i < 2; i++)
		buf_init(&parse.batches[i].copy, COPY_MAX);
	err = run(&parse);
	pg_rollback(&worker->pg);
	pg_close(&parse.second);
	for (int i = 0; i < 2; i++)
		buf_release(&parse.batches[i].copy);
	arena_release(&parse.scratch);
	return err;
}
