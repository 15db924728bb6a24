/*
 * Shared steps of the import jobs. Called by job_inspect.c, job_parse.c, job_commit.c,
 * job_undo.c.
 * Must never open the file of an import anywhere but here, nor parse it in this process.
 */
#include "handlers/import/job_common.h"

#include "core/base/log.h"
#include "core/store/store.h"
#include "handlers/import/handlers.h"

#include <string.h>
#include <unistd.h>

/* Columns of the statement import_start. */
enum { W_ID, W_SPACE, W_TARGET, W_OBJECT, W_OVERRIDES, W_ENCODING, W_DELIMITER, W_HEADER, W_MAPPING, W_ESTIMATED, W_TOTAL, W_PARSED_TO, W_PLANNED,
       W_ASSIGNMENT, W_DUPLICATES, W_DEFAULTS, W_FILE_NAME, W_CREATED_BY, W_INVALID, W_PARSED, W_FORMAT, W_COLUMNS, W_SHEET, W_EDITS,
       W_VALUE_MAP, W_HASH };

static enum err take(struct worker *worker, const char *no, const struct pg_rows *rows, struct job *job, struct import_work *ret)
{
	*ret = (struct import_work){
	    .no = no,
	    .id = pg_text(rows, 0, W_ID),
	    .space = pg_text(rows, 0, W_SPACE),
	    .target_name = pg_text(rows, 0, W_TARGET),
	    .object_key = pg_text(rows, 0, W_OBJECT),
	    .file_name = pg_text(rows, 0, W_FILE_NAME),
	    .created_by = pg_text(rows, 0, W_CREATED_BY),
	    .overrides = pg_text(rows, 0, W_OVERRIDES),
	    .encoding = pg_text(rows, 0, W_ENCODING),
	    .delimiter = pg_text(rows, 0, W_DELIMITER),
	    .mapping = pg_text(rows, 0, W_MAPPING),
	    .format = pg_text(rows, 0, W_FORMAT),
	    .sheet = pg_text(rows, 0, W_SHEET),
	    .assignment = pg_text(rows, 0, W_ASSIGNMENT),
	    .duplicates = pg_text(rows, 0, W_DUPLICATES),
	    .defaults = pg_text(rows, 0, W_DEFAULTS),
	    .value_map = pg_text(rows, 0, W_VALUE_MAP),
	    .file_hash = pg_text(rows, 0, W_HASH),
	    .header_row = pg_i64(rows, 0, W_HEADER),
	    .rows_total = pg_i64(rows, 0, W_TOTAL),
	    .rows_invalid = pg_i64(rows, 0, W_INVALID),
	    .parsed_to = pg_i64(rows, 0, W_PARSED_TO),
	    .columns = pg_i64(rows, 0, W_COLUMNS),
	    .edits = pg_i64(rows, 0, W_EDITS),
	    .planned = pg_bool(rows, 0, W_PLANNED),
	    .parsed = pg_bool(rows, 0, W_PARSED),
	};
	ret->target = catalog_target(worker->catalog, ret->target_name);
	return ret->target ? OK : job_refuse(job, "unknown_target");
}

enum err import_begin(struct worker *worker, struct arena *arena, struct job *job, const char *from, const char *status,
                      struct import_work *ret, bool *ret_go)
{
	struct pg_rows rows;
	const char *no = pg_number(arena, json_integer_value(json_object_get(job->args, "no")));
	*ret_go = false;
	enum err err = pg_query(&worker->pg, arena, STMT_IMPORT_START, PG_VALUES(job->id_text, job->token, job->lease, no, from, status), &rows);
	if (!err && rows.count)
		err = take(worker, no, &rows, job, ret);
	*ret_go = !err && rows.count;
	return err;
}

enum err import_look(struct worker *worker, struct arena *arena, struct job *job, struct import_work *ret, bool *ret_go)
{
	struct pg_rows rows;
	const char *no = pg_number(arena, json_integer_value(json_object_get(job->args, "no")));
	*ret_go = false;
	enum err err = pg_query(&worker->pg, arena, STMT_IMPORT_LOOK, PG_VALUES(no), &rows);
	if (!err && rows.count)
		err = take(worker, no, &rows, job, ret);
	*ret_go = !err && rows.count;
	return err;
}

enum err import_nothing(struct worker *worker, struct arena *arena, struct job *job)
{
	return job_end(worker, arena, job, "done");
}

enum err import_cancelled(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work)
{
	enum err err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = job_end(worker, arena, job, "cancelled");
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_IMPORT_STOP, PG_VALUES(work->no, "cancelled", NULL), NULL);
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	if (!err)
		log_write(LOG_LEVEL_INFO, "import_cancelled", LOG_TEXT("import", work->id));
	return err;
}

/* By its first bytes, whatever its name is: zip archives and the containers of old or encrypted workbooks go to the reader of
   workbooks, which says what they are; all else is text. */
static const char *format_of(int fd)
{
	static const char zip[] = {'P', 'K', 3, 4}, container[] = {'\xD0', '\xCF', '\x11', '\xE0'};
	char head[4] = {0};
	if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return "csv";
	return memcmp(head, zip, sizeof(head)) == 0 || memcmp(head, container, sizeof(head)) == 0 ? "xlsx" : "csv";
}

enum err import_open(struct worker *worker, struct job *job, const struct import_work *work, char hash[SHA256_HEX_SIZE], int64_t *ret_size,
                     int *ret_fd)
{
	enum err err = store_open_known(worker->config, work->object_key, work->file_hash, hash, ret_size, ret_fd);
	if (err == ERR_CONFLICT)
		return job_refuse(job, "file_changed");
	if (err && err != ERR_UNAVAILABLE && err != ERR_TIMEOUT)
		return job_refuse(job, err == ERR_NOT_FOUND ? "file_gone" : "file_unreadable");
	return err;
}

enum err import_read(struct worker *worker, struct arena *arena, int fd, const char *mode, const char *const *extra, struct reader *reader)
{
	struct reader_options options = reader_options_of(arena, worker->config);
	options.format = format_of(fd);
	options.mode = mode;
	options.input = fd;
	options.extra = extra;
	return reader_start(reader, arena, &options);
}

enum err import_verdict(struct job *job, const struct reader_result *result)
{
	if (result->verdict == READER_OK)
		return OK;
	log_write(LOG_LEVEL_WARN, "reader_verdict", LOG_TEXT("code", result->code), LOG_TEXT("message", result->message),
	          LOG_INT("waitStatus", result->wait_status));
	return job_refuse(job, result->code);
}

/* The queue gave the job up: the import failed with the same code. */
static enum err on_dead(struct worker *worker, struct arena *arena, int64_t job_id, const char *code)
{
	return pg_query(&worker->pg, arena, STMT_IMPORT_FAIL_JOB, PG_VALUES(pg_number(arena, job_id), code), NULL);
}

const struct job_kind import_job_kinds[] = {
    {"import.inspect", import_inspect_run, on_dead},
    {"import.parse", import_parse_run, on_dead},
    {"import.commit", import_commit_run, on_dead},
    {"import.review", import_review_run, NULL},
    {"import.undo", import_undo_run, on_dead},
    {"import.remove", import_remove_run, NULL},
    {"import.retention", import_retention_run, NULL},
};
const size_t import_job_kind_count = sizeof(import_job_kinds) / sizeof(import_job_kinds[0]);
