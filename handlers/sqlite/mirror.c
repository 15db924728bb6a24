/*
 * Typed rows as a binary COPY into the partition of a batch, with checkpoints. Called by job_import.c and snapshot.c.
 * Must never change a value: what PostgreSQL cannot hold as text goes in hexadecimal under a class of its own.
 */
#include "handlers/sqlite/mirror.h"

#include "core/base/metrics.h"
#include "core/pg/copy_binary.h"
#include "handlers/sqlite/handlers.h"

#include <string.h>

enum { COPY_SEND = 128 << 10, COPY_MAX = 16 << 20, BATCH_BYTES = 8 << 20, BATCH_ARENA = 1 << 20, COLUMNS = 6, CELL_TEXT = 32 };

void mirror_open(struct mirror *mirror, struct worker *worker, struct arena *arena, struct job *job, const char *no, int64_t rows_done)
{
	*mirror = (struct mirror){.worker = worker, .arena = arena, .job = job, .no = no, .place = {.table = -1}, .total = rows_done};
	mirror->batch_no = json_integer_value(json_object_get(job->args, "no"));
	arena_init(&mirror->scratch, BATCH_ARENA);
	buf_init(&mirror->copy, COPY_MAX);
	pg_init(&mirror->second, &worker->pg.options);
	mirror->batches[0].pg = &worker->pg;
	mirror->batches[1].pg = &mirror->second;
}

void mirror_close(struct mirror *mirror)
{
	pg_rollback(&mirror->worker->pg);
	pg_close(&mirror->second);
	buf_release(&mirror->copy);
	arena_release(&mirror->scratch);
}

static size_t integer_text(int64_t value, char out[CELL_TEXT])
{
	char digits[CELL_TEXT];
	size_t n = 0, at = 0;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	do
		digits[n++] = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		out[at++] = '-';
	while (n)
		out[at++] = digits[--n];
	return at;
}

/* Letter and cell of a value; p has room for its text twice over. */
static char put_cell(char **p, const struct value *value)
{
	char *length = *p, *text = *p + 4, class = 'n';
	size_t n = 0;
	switch (value->class) {
	case VALUE_INTEGER:
		class = 'i';
		n = integer_text(value->integer, text);
		break;
	case VALUE_REAL:
		class = 'r';
		n = real_text(value->real, text);
		break;
	case VALUE_TEXT:
		if (!memchr(value->bytes.p, '\0', value->bytes.n) && utf8_valid(value->bytes.p, value->bytes.n)) {
			class = 't';
			n = value->bytes.n;
			memcpy(text, value->bytes.p, n);
			break;
		}
		class = 'x';
		/* fall through */
	case VALUE_BLOB:
	case VALUE_TEXT_UTF16:
		if (class == 'n')
			class = value->class == VALUE_BLOB ? 'b' : 'u';
		hex_encode(value->bytes.p, value->bytes.n, text);
		n = 2 * value->bytes.n;
		break;
	case VALUE_NULL:
	case VALUE_CLASS_COUNT:
		copy_put_32(p, UINT32_MAX);
		return 'n';
	}
	copy_put_32(&length, (uint32_t)n);
	*p = text + n;
	return class;
}

static size_t room_for(const struct value_row *row, uint32_t cells)
{
	size_t need = 2 + (4 + 8) * 3 + (4 + 4) + (4 + cells) + 4 + 20;
	for (uint32_t i = 0; i < cells; i++) {
		bool bytes = row->values[i].class == VALUE_TEXT || row->values[i].class == VALUE_BLOB || row->values[i].class == VALUE_TEXT_UTF16;
		need += 4 + (bytes ? 2 * row->values[i].bytes.n + 1 : CELL_TEXT);
	}
	return need;
}

static enum err put_row(struct mirror *mirror, const struct value_row *row, uint32_t cells)
{
	char *start = buf_reserve(&mirror->copy, room_for(row, cells)), *p = start;
	bool has_null = false;
	if (!p)
		return ERR_TOO_LARGE;
	copy_put_16(&p, COLUMNS);
	copy_put_32(&p, 8);
	copy_put_64(&p, (uint64_t)mirror->batch_no);
	copy_put_32(&p, 8);
	copy_put_64(&p, (uint64_t)row->key);
	copy_put_32(&p, 8);
	copy_put_64(&p, row->number);
	copy_put_32(&p, 4);
	copy_put_32(&p, (uint32_t)mirror->place.table);
	copy_put_32(&p, cells);
	char *classes = p;
	p += cells;
	char *array = p;
	p += 4 + 20;
	for (uint32_t i = 0; i < cells; i++) {
		classes[i] = put_cell(&p, &row->values[i]);
		has_null = has_null || classes[i] == 'n';
	}
	copy_put_32(&array, (uint32_t)(p - array - 4));
	copy_put_32(&array, 1);
	copy_put_32(&array, has_null);
	copy_put_32(&array, COPY_BINARY_TEXT);
	copy_put_32(&array, cells);
	copy_put_32(&array, 1);
	mirror->copy.len += (size_t)(p - start);
	return OK;
}

static enum err send_copy(struct mirror *mirror)
{
	struct mirror_batch *batch = &mirror->batches[mirror->filling];
	enum err err = pg_copy_put(batch->pg, buf_text(&mirror->copy), mirror->copy.len);
	batch->bytes += mirror->copy.len;
	buf_clear(&mirror->copy);
	return err;
}

/* The transaction of a batch opens with its first row, so that PostgreSQL works while we read. */
static enum err open_batch(struct mirror *mirror)
{
	struct mirror_batch *batch = &mirror->batches[mirror->filling];
	enum err err = pg_begin(batch->pg, NULL);
	if (!err)
		err = pg_copy_start(batch->pg, STMT_SQLITE_COPY);
	if (!err)
		err = buf_append(&mirror->copy, COPY_BINARY_HEADER, COPY_BINARY_HEADER_SIZE);
	batch->open = !err;
	batch->bytes = 0;
	batch->added = 0;
	return err;
}

/* Waits for PostgreSQL, then checkpoint, lease and cancel check in the same transaction. */
static enum err commit_batch(struct mirror *mirror, struct mirror_batch *batch)
{
	struct arena *scratch = &mirror->scratch;
	const struct mirror_place *place = &batch->place;
	struct pg_rows rows;
	if (!batch->closed)
		return OK;
	arena_reset(scratch);
	enum err err = pg_copy_wait(batch->pg);
	if (!err)
		err = pg_query(batch->pg, scratch, STMT_SQLITE_CHECKPOINT,
		               PG_VALUES(mirror->job->id_text, mirror->job->token, mirror->job->lease, mirror->no, pg_number(scratch, place->table),
		                         pg_number(scratch, place->at), pg_number(scratch, place->rows), pg_number(scratch, place->left_out),
		                         batch->done ? "true" : "false", pg_number(scratch, batch->added)),
		               &rows);
	bool cancel = !err && pg_bool(&rows, 0, 0);
	if (!err)
		err = pg_commit(batch->pg);
	if (err)
		return err;
	metrics_add(METRIC_SQLITE_ROWS, batch->added);
	batch->closed = false;
	mirror->job->cancelled = mirror->job->cancelled || cancel;
	return OK;
}

/* Sends the end of the batch at hand and turns to the other one, whose earlier rows are committed first. */
static enum err close_batch(struct mirror *mirror, bool done)
{
	struct mirror_batch *batch = &mirror->batches[mirror->filling];
	enum err err = batch->open ? OK : open_batch(mirror);
	if (!err)
		err = buf_append(&mirror->copy, COPY_BINARY_TRAILER, COPY_BINARY_TRAILER_SIZE);
	if (!err)
		err = send_copy(mirror);
	if (!err)
		err = pg_copy_end(batch->pg);
	if (err)
		return err;
	batch->open = false;
	batch->closed = true;
	batch->done = done;
	batch->place = mirror->place;
	mirror->filling ^= 1;
	err = commit_batch(mirror, &mirror->batches[mirror->filling]);
	return !err && jobs_stopping() ? ERR_UNAVAILABLE : err;
}

enum err mirror_tables(struct mirror *mirror, const char *meta)
{
	return pg_query(&mirror->worker->pg, mirror->arena, STMT_SQLITE_TABLES, PG_VALUES(mirror->no, meta), NULL);
}

enum err mirror_table(struct mirror *mirror, int64_t table, int64_t at, int64_t rows)
{
	mirror->place = (struct mirror_place){table, at, rows, at - rows}; /* what was read and not stored was left out */
	return OK;
}

enum err mirror_row(struct mirror *mirror, const struct value_row *row, uint32_t cells)
{
	struct mirror_batch *batch = &mirror->batches[mirror->filling];
	enum err err = batch->open ? OK : open_batch(mirror);
	if (!err)
		err = put_row(mirror, row, cells);
	if (err)
		return err;
	mirror->place.at = (int64_t)row->number;
	mirror->place.rows++;
	mirror->total++;
	batch->added++;
	if (mirror->copy.len >= COPY_SEND)
		err = send_copy(mirror);
	return !err && batch->bytes >= BATCH_BYTES ? close_batch(mirror, false) : err;
}

enum err mirror_table_end(struct mirror *mirror, int64_t left_out)
{
	mirror->place.left_out += left_out;
	return close_batch(mirror, true);
}

enum err mirror_finish(struct mirror *mirror)
{
	struct pg *pg = &mirror->worker->pg;
	struct pg_rows rows;
	/* close_batch has turned to the older one; the younger one is the last */
	enum err err = commit_batch(mirror, &mirror->batches[mirror->filling]);
	if (!err)
		err = commit_batch(mirror, &mirror->batches[mirror->filling ^ 1]);
	if (!err)
		err = pg_begin(pg, NULL);
	if (!err)
		err = job_beat(mirror->worker, mirror->arena, mirror->job);
	if (!err && mirror->job->cancelled)
		return OK;
	if (!err)
		err = pg_query(pg, mirror->arena, STMT_SQLITE_MIRRORED, PG_VALUES(mirror->no, pg_number(mirror->arena, mirror->total)), &rows);
	if (!err && !pg_bool(&rows, 0, 0))
		return job_refuse(mirror->job, "ledger_mismatch");
	if (!err)
		err = pg_query(pg, mirror->arena, STMT_SQLITE_MOVE, PG_VALUES(mirror->no, "importing"), NULL);
	return err ? err : pg_commit(pg);
}
