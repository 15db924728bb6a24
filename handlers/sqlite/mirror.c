/*
 * Typed rows as a binary COPY into the partition of a batch, with checkpoints. Called by job_import.c and snapshot.c.
 * Must never change a value: what PostgreSQL cannot hold as text goes in hexadecimal under a class of its own.
 */
#include "handlers/sqlite/mirror.h"

#include "core/base/metrics.h"
#include "core/pg/copy_binary.h"
#include "handlers/sqlite/handlers.h"

#include <string.h>

enum { COPY_SEND = 256 << 10, COPY_MAX = 16 << 20, BATCH_BYTES = 16 << 20, BATCH_ARENA = 1 << 20, COLUMNS = 6, CELL_TEXT = 32 };

void mirror_open(struct mirror *mirror, struct worker *worker, struct arena *arena, struct job *job, const char *no, int64_t rows_done)
{
	*mirror = (struct mirror){.worker = worker, .arena = arena, .job = job, .no = no, .table = -1, .total = rows_done};
	mirror->batch_no = json_integer_value(json_object_get(job->args, "no"));
	arena_init(&mirror->scratch, BATCH_ARENA);
	buf_init(&mirror->copy, COPY_MAX);
}

void mirror_close(struct mirror *mirror)
{
	pg_rollback(&mirror->worker->pg);
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
	copy_put_32(&p, (uint32_t)mirror->table);
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
	enum err err = pg_copy_put(&mirror->worker->pg, buf_text(&mirror->copy), mirror->copy.len);
	mirror->sent += mirror->copy.len;
	buf_clear(&mirror->copy);
	return err;
}

static enum err begin(struct mirror *mirror)
{
	enum err err = pg_begin(&mirror->worker->pg, NULL);
	if (!err)
		err = pg_copy_start(&mirror->worker->pg, STMT_SQLITE_COPY);
	if (!err)
		err = buf_append(&mirror->copy, COPY_BINARY_HEADER, COPY_BINARY_HEADER_SIZE);
	mirror->open = !err;
	mirror->sent = 0;
	return err;
}

/* Commits what is open, with where it goes on. done: the table has no more rows. */
static enum err checkpoint(struct mirror *mirror, bool done)
{
	struct pg *pg = &mirror->worker->pg;
	struct arena *scratch = &mirror->scratch;
	struct pg_rows rows;
	enum err err = OK;
	arena_reset(scratch);
	if (mirror->open) {
		mirror->open = false;
		err = buf_append(&mirror->copy, COPY_BINARY_TRAILER, COPY_BINARY_TRAILER_SIZE);
		if (!err)
			err = send_copy(mirror);
		if (!err)
			err = pg_copy_end(pg);
		if (!err)
			err = pg_copy_wait(pg);
	} else {
		err = pg_begin(pg, NULL);
	}
	if (!err)
		err = pg_query(pg, scratch, STMT_SQLITE_CHECKPOINT,
		               PG_VALUES(mirror->job->id_text, mirror->job->token, mirror->job->lease, mirror->no, pg_number(scratch, mirror->table),
		                         pg_number(scratch, mirror->at), pg_number(scratch, mirror->rows), pg_number(scratch, mirror->left_out), done ? "true" : "false",
		                         pg_number(scratch, mirror->added)),
		               &rows);
	bool cancel = !err && pg_bool(&rows, 0, 0);
	if (!err)
		err = pg_commit(pg);
	if (err)
		return err;
	metrics_add(METRIC_SQLITE_ROWS, mirror->added);
	mirror->added = 0;
	mirror->job->cancelled = mirror->job->cancelled || cancel;
	return jobs_stopping() && !done ? ERR_UNAVAILABLE : OK;
}

enum err mirror_tables(struct mirror *mirror, const char *meta)
{
	return pg_query(&mirror->worker->pg, mirror->arena, STMT_SQLITE_TABLES, PG_VALUES(mirror->no, meta), NULL);
}

enum err mirror_table(struct mirror *mirror, int64_t table, int64_t at, int64_t rows)
{
	mirror->table = table;
	mirror->at = at;
	mirror->rows = rows;
	mirror->left_out = at - rows; /* what was read and not stored */
	return OK;
}

enum err mirror_row(struct mirror *mirror, const struct value_row *row, uint32_t cells)
{
	enum err err = mirror->open ? OK : begin(mirror);
	if (!err)
		err = put_row(mirror, row, cells);
	if (err)
		return err;
	mirror->at = (int64_t)row->number;
	mirror->rows++;
	mirror->added++;
	mirror->total++;
	if (mirror->copy.len >= COPY_SEND)
		err = send_copy(mirror);
	return !err && mirror->sent >= BATCH_BYTES ? checkpoint(mirror, false) : err;
}

enum err mirror_table_end(struct mirror *mirror, int64_t left_out)
{
	mirror->left_out += left_out;
	return checkpoint(mirror, true);
}

enum err mirror_finish(struct mirror *mirror)
{
	struct pg *pg = &mirror->worker->pg;
	struct pg_rows rows;
	enum err err = pg_begin(pg, NULL);
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
