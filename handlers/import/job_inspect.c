/*
 * import.inspect: what is this file, and which column is which field? Reads a sample in the sandbox, checks that the file
 * is the one that arrived, proposes a mapping. Ends in `mapping`. Must never look at the file's bytes in this process
 * except to hash them.
 */
#include "core/base/log.h"
#include "core/crypto/digest.h"
#include "core/store/store.h"
#include "handlers/import/job_common.h"
#include "handlers/import/mapping.h"
#include "handlers/import/mapping_change.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES = 5, META_MAX = 2 << 20 };

struct inspection {
	json_t *meta;
	size_t columns;
	bool has_header;
	struct str *headings;
	struct import_match *matches;
	int by_field[SCHEMA_FIELDS_MAX];
	bool saved; /* a mapping saved for these headings was applied */
	char fingerprint[SHA256_HEX_SIZE];
};

/* Nobody had read the file before: it has its hash from now on, and two imports of it do not both go on by accident. */
static enum err know_hash(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work, const char *hash)
{
	const struct pg_scope scope = {work->created_by, work->space, "worker"};
	struct pg *pg = &worker->pg;
	struct pg_rows rows = {0};
	enum err err = pg_begin(pg, &scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_LOCK_HASH, PG_VALUES(hash), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_KNOW_HASH, PG_VALUES(work->no, hash), &rows);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	return !err && rows.count && !pg_bool(&rows, 0, 0) ? job_refuse(job, "duplicate_file") : err;
}

/* Opens the file and reads all of it once: it is what was declared. */
static enum err open_checked(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work, int *ret_fd)
{
	char hex[SHA256_HEX_SIZE];
	struct pg_rows rows;
	int64_t size = 0;
	int fd;
	enum err err = import_open(worker, job, work, hex, &size, &fd);
	if (err)
		return err;
	err = pg_query(&worker->pg, arena, STMT_IMPORT_FILE, PG_VALUES(work->no), &rows);
	if (!err && (rows.count == 0 || pg_i64(&rows, 0, 0) != size))
		err = job_refuse(job, "file_changed");
	if (!err && !work->file_hash)
		err = know_hash(worker, arena, job, work, hex);
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

/* The arguments that a user's overrides mean to the reader. */
static enum err reader_arguments(struct arena *arena, const struct import_work *work, const char **extra)
{
	json_t *overrides = NULL;
	size_t n = 0;
	enum err err = json_parse(arena, work->overrides, strlen(work->overrides), &overrides, NULL);
	if (err)
		return ERR_BUG;
	if (json_text(overrides, "encoding")) {
		extra[n++] = "--encoding";
		extra[n++] = json_text(overrides, "encoding");
	}
	if (json_text(overrides, "delimiter")) {
		extra[n++] = "--delimiter";
		extra[n++] = text_equal(json_text(overrides, "delimiter"), "\t") ? "tab" : json_text(overrides, "delimiter");
	}
	if (json_object_get(overrides, "headerRow")) {
		extra[n++] = "--header-row";
		extra[n++] = pg_number(arena, json_integer_value(json_object_get(overrides, "headerRow")));
	}
	if (json_text(overrides, "sheet")) {
		extra[n++] = "--sheet";
		extra[n++] = json_text(overrides, "sheet");
	}
	extra[n] = NULL;
	return OK;
}

static enum err read_meta(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work, json_t **ret)
{
	const char *extra[10];
	struct reader reader;
	struct frame frame;
	json_t *meta = NULL;
	int fd = -1;
	enum err err = open_checked(worker, arena, job, work, &fd);
	if (err)
		return err;
	err = reader_arguments(arena, work, extra);
	if (!err)
		err = import_read(worker, arena, fd, "inspect", extra, &reader);
	if (err) {
		close(fd);
		return err;
	}
	while (!err && reader_next(&reader, &frame) == READER_FRAME)
		if (frame.type == FRAME_META)
			err = json_parse(arena, frame.payload.p, frame.payload.n, &meta, NULL);
	struct reader_result result = reader_finish(&reader);
	close(fd);
	if (err)
		return job_refuse(job, "reader_protocol_error");
	err = import_verdict(job, &result);
	if (!err && !json_is_object(meta))
		return job_refuse(job, "reader_protocol_error");
	*ret = meta;
	return err;
}

static struct str sample_cell(const struct inspection *inspection, size_t row, size_t column)
{
	const json_t *cells = json_object_get(json_array_get(json_object_get(inspection->meta, "sample"), row), "cells");
	return str_of(json_string_value(json_array_get(cells, column)));
}

/* Without headings only the cells can tell: a column whose samples are mostly e-mails (or phones) is that field. */
static void map_by_content(const struct inspection *inspection, const struct schema_table *table, struct import_match *matches)
{
	size_t samples = json_array_size(json_object_get(inspection->meta, "sample"));
	for (size_t f = 0; f < table->field_count; f++) {
		const struct validator *validator = table->fields[f].validate ? validator_of(table->fields[f].validate) : NULL;
		bool telling = text_equal(table->fields[f].validate, "email") || text_equal(table->fields[f].validate, "phone");
		for (size_t c = 0; validator && telling && c < inspection->columns; c++) {
			size_t good = 0, filled = 0;
			for (size_t r = 0; r < samples; r++) {
				struct str cell = str_trim(sample_cell(inspection, r, c));
				bool digits = cell.n && (cell.p[0] == '+' || cell.p[0] == '0');
				filled += cell.n > 0;
				good += cell.n && validator->run(cell) == ROW_FINE && (!text_equal(table->fields[f].validate, "phone") || digits);
			}
			if (filled == 0 || good * 10 < filled * 8 || matches[c].field >= 0)
				continue;
			matches[c] = (struct import_match){.field = (int)f, .confidence = (double)good / (double)filled};
			break;
		}
	}
}

static enum err apply_saved(struct worker *worker, struct arena *arena, const struct import_work *work, struct inspection *inspection)
{
	const struct schema_table *table = work->target->table;
	struct pg_rows rows;
	enum err err = pg_query(&worker->pg, arena, STMT_IMPORT_SAVED_MAPPING, PG_VALUES(work->space, work->target_name, inspection->fingerprint), &rows);
	if (err || rows.count == 0 || !mapping_parse(pg_text(&rows, 0, 0), inspection->by_field, table->field_count))
		return err;
	for (size_t c = 0; c < inspection->columns; c++) {
		inspection->matches[c].field = -1;
		inspection->matches[c].confidence = 0;
	}
	for (size_t f = 0; f < table->field_count; f++) {
		int column = inspection->by_field[f];
		if (column >= 0 && (size_t)column < inspection->columns)
			inspection->matches[column] = (struct import_match){.field = (int)f, .confidence = 1};
	}
	inspection->saved = true;
	return OK;
}

static enum err map_columns(struct worker *worker, struct arena *arena, const struct import_work *work, struct inspection *inspection)
{
	const struct schema_table *table = work->target->table;
	const json_t *header = json_object_get(inspection->meta, "header");
	inspection->columns = (size_t)json_integer_value(json_object_get(inspection->meta, "columns"));
	if (inspection->columns > IMPORT_HEADINGS_MAX)
		return ERR_TOO_LARGE;
	inspection->headings = arena_array(arena, inspection->columns + 1, sizeof(*inspection->headings));
	inspection->matches = arena_array(arena, inspection->columns + 1, sizeof(*inspection->matches));
	if (!inspection->headings || !inspection->matches)
		return ERR_TOO_LARGE;
	for (size_t c = 0; c < inspection->columns; c++)
		inspection->headings[c] = inspection->has_header ? str_of(json_string_value(json_array_get(header, c))) : STR("");
	enum err err = import_map(arena, table, inspection->headings, inspection->columns, inspection->matches);
	if (!err && !inspection->has_header)
		map_by_content(inspection, table, inspection->matches);
	if (!err)
		err = import_fingerprint(inspection->headings, inspection->columns, inspection->fingerprint);
	if (!err && inspection->has_header)
		err = apply_saved(worker, arena, work, inspection);
	for (size_t f = 0; f < SCHEMA_FIELDS_MAX; f++)
		inspection->by_field[f] = -1;
	for (size_t c = 0; c < inspection->columns; c++)
		if (inspection->matches[c].field >= 0)
			inspection->by_field[inspection->matches[c].field] = (int)c;
	return err;
}

static void put_column(struct json_writer *w, const struct inspection *inspection, const struct schema_table *table, size_t c)
{
	const struct import_match *match = &inspection->matches[c];
	size_t samples = json_array_size(json_object_get(inspection->meta, "sample"));
	json_object_open(w, NULL);
	json_put_i64(w, "index", (int64_t)c);
	if (inspection->has_header)
		json_put_str(w, "name", inspection->headings[c]);
	else
		json_put_null(w, "name");
	json_array_open(w, "samples");
	for (size_t r = 0; r < samples && r < SAMPLES; r++)
		json_put_str(w, NULL, sample_cell(inspection, r, c));
	json_array_close(w);
	json_put_text(w, "field", match->field >= 0 ? table->fields[match->field].name : NULL);
	json_put_real(w, "confidence", match->field >= 0 ? match->confidence : 0);
	json_put_bool(w, "manual", inspection->saved && match->field >= 0);
	json_array_open(w, "alternatives");
	for (size_t i = 0; i < match->alternative_count; i++) {
		json_object_open(w, NULL);
		json_put_text(w, "field", table->fields[match->alternatives[i].field].name);
		json_put_real(w, "confidence", match->alternatives[i].confidence);
		json_object_close(w);
	}
	json_array_close(w);
	json_object_close(w);
}

static void free_text(void *what)
{
	free(what); /* from json_dumps */
}

/* The sheets of a workbook as clients see them; none for other formats. */
static const char *sheets_of(struct arena *arena, const json_t *meta)
{
	char *text = json_is_array(json_object_get(meta, "sheets")) ? json_dumps(json_object_get(meta, "sheets"), JSON_COMPACT) : NULL;
	return !text ? "[]" : arena_defer(arena, free_text, text) == OK ? text : NULL;
}

static enum err store(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work, const struct inspection *inspection)
{
	const struct schema_table *table = work->target->table;
	const json_t *meta = inspection->meta;
	struct buf columns;
	struct json_writer w;
	const char *sheets = sheets_of(arena, meta);
	const char *mapping = mapping_literal(arena, inspection->by_field, table->field_count);
	buf_init(&columns, META_MAX);
	json_start(&w, &columns);
	json_array_open(&w, NULL);
	for (size_t c = 0; c < inspection->columns; c++)
		put_column(&w, inspection, table, c);
	json_array_close(&w);
	enum err err = columns.overflowed || !mapping || !sheets ? job_refuse(job, "headings_too_large") : pg_begin(&worker->pg, NULL);
	/* From here on a cancel waits for us, and finds the import inspected. */
	if (!err)
		err = job_beat(worker, arena, job);
	if (!err && !job->cancelled)
		err = pg_query(&worker->pg, arena, STMT_IMPORT_INSPECTED,
		               PG_VALUES(work->no, json_text(meta, "format"), json_text(meta, "encoding"), json_text(meta, "delimiter"),
		                         pg_number(arena, json_integer_value(json_object_get(meta, "headerRow"))), buf_text(&columns), mapping,
		                         pg_number(arena, json_integer_value(json_object_get(meta, "estimatedRows"))), inspection->fingerprint, "[]", json_text(meta, "sheet"), sheets),
		               NULL);
	buf_release(&columns);
	if (!err && job->cancelled) {
		pg_rollback(&worker->pg);
		return import_cancelled(worker, arena, job, work);
	}
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_IMPORT_MOVE, PG_VALUES(work->no, "mapping"), NULL);
	if (!err)
		err = job_end(worker, arena, job, "done");
	return err ? err : pg_commit(&worker->pg);
}

enum err import_inspect_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct import_work work;
	struct inspection inspection = {0};
	bool go;
	enum err err = import_begin(worker, arena, job, "pending", "inspecting", &work, &go);
	if (err || !go)
		return err ? err : import_nothing(worker, arena, job);
	err = read_meta(worker, arena, job, &work, &inspection.meta);
	if (err)
		return err;
	inspection.has_header = json_is_true(json_object_get(inspection.meta, "hasHeader"));
	bool exact = json_is_true(json_object_get(inspection.meta, "exact"));
	if (exact && json_integer_value(json_object_get(inspection.meta, "estimatedRows")) == 0)
		return job_refuse(job, "no_rows");
	err = map_columns(worker, arena, &work, &inspection);
	return err ? err : store(worker, arena, job, &work, &inspection);
}
