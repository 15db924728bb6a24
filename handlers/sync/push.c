/*
 * Writes the rows of a push, table by table, parents first, each table in one statement. In the careful run every statement stands behind
 * a savepoint; one that PostgreSQL refuses is halved until the row is found that is to blame.
 * Called by sync.c inside its transaction, under the lock of the scope.
 * Must never let one row cost another its place.
 */
#include "handlers/sync/sync.h"

#include <string.h>

/* A push that is done with care writes its rows many times over: what one statement needs is given back at once. */
enum { ARRAY_MAX = 32 << 20, SCRATCH_MAX = 128 << 20, PARAMETERS_MAX = SCHEMA_COLUMNS_MAX + 8 };

bool sync_is_row_failure(const struct pg *pg)
{
	const char *state = pg->sqlstate;
	return text_starts_with(state, "22") || text_starts_with(state, "23") || text_starts_with(state, "54") || text_equal(state, "P0001");
}

static void append_element(struct buf *out, const char *text)
{
	if (!text) {
		buf_append_text(out, "NULL");
		return;
	}
	buf_append_char(out, '"');
	for (;;) {
		size_t n = strcspn(text, "\"\\");
		buf_append(out, text, n);
		text += n;
		if (!*text)
			break;
		buf_append_char(out, '\\');
		buf_append_char(out, *text++);
	}
	buf_append_char(out, '"');
}

static enum err end_array(struct arena *arena, struct buf *out, const char **ret)
{
	buf_append_char(out, '}');
	*ret = out->overflowed ? NULL : arena_copy(arena, buf_text(out), out->len);
	buf_clear(out);
	return *ret ? OK : ERR_TOO_LARGE;
}

enum err sync_arrays(struct arena *arena, struct sync_row *const *rows, size_t count, size_t first, size_t columns, const char **ret)
{
	struct buf out;
	enum err err = OK;
	buf_init(&out, ARRAY_MAX);
	for (size_t c = 0; !err && c < columns; c++) {
		buf_append_char(&out, '{');
		for (size_t i = 0; i < count; i++) {
			if (i)
				buf_append_char(&out, ',');
			append_element(&out, rows[i]->values[first + c]);
		}
		err = end_array(arena, &out, &ret[c]);
	}
	buf_release(&out);
	return err;
}

/* The arrays that every push has behind those of its columns: deleted, last_modified_at and, for a patch, the masks. */
static enum err other_arrays(struct arena *arena, struct sync_row *const *rows, size_t count, bool patch, const char **ret)
{
	struct buf out;
	enum err err = OK;
	buf_init(&out, ARRAY_MAX);
	for (int kind = 0; !err && kind < (patch ? 3 : 2); kind++) {
		buf_append_char(&out, '{');
		for (size_t i = 0; i < count; i++) {
			if (i)
				buf_append_char(&out, ',');
			if (kind == 0)
				buf_append_char(&out, rows[i]->deleted ? 't' : 'f');
			else if (kind == 1)
				buf_printf(&out, "%lld", (long long)rows[i]->modified);
			else
				append_element(&out, rows[i]->mask ? rows[i]->mask : "");
		}
		err = end_array(arena, &out, &ret[kind]);
	}
	buf_release(&out);
	return err;
}

enum err sync_write(struct sync_call *call, unsigned table, enum sync_statement kind, struct sync_row *const *rows, size_t count)
{
	const struct sync_table *synced = &call->app->tables[table];
	size_t columns = sync_columns(synced->table);
	const char *values[PARAMETERS_MAX];
	struct arena scratch;
	struct pg_rows back;
	arena_init(&scratch, SCRATCH_MAX);
	values[0] = call->scope;
	values[1] = call->device;
	values[2] = pg_number(&scratch, call->version);
	values[3] = pg_number(&scratch, call->version + call->request->gate->config->sync_future_s * 1000000);
	enum err err = sync_arrays(&scratch, rows, count, 0, columns, values + 4);
	if (!err)
		err = other_arrays(&scratch, rows, count, kind == SYNC_PATCH, values + 4 + columns);
	if (!err)
		err = pg_query_generated(call->pg, &scratch, synced->first_slot + kind, synced->sql[kind], (int)(6 + columns + (kind == SYNC_PATCH)), values, &back);
	for (int i = 0; !err && i < back.count; i++)
		rows[pg_i64(&back, i, 0) - 1]->returned = true;
	arena_release(&scratch);
	return err;
}

static enum err one_refused(struct sync_call *call, struct sync_row *row)
{
	bool twin = text_equal(call->pg->sqlstate, "23505");
	enum err err = pg_script(call->pg, "ROLLBACK TO SAVEPOINT sync_rows");
	if (err)
		return err;
	if (twin)
		return sync_merge_row(call, row);
	row->code = row->mask ? REJECT_REQUIRED : REJECT_INVALID_VALUE;
	return OK;
}

/* Recursive by halves: as deep as the logarithm of the rows. */
static enum err write_with_care(struct sync_call *call, unsigned table, enum sync_statement kind, struct sync_row *const *rows, size_t count)
{
	enum err err = pg_script(call->pg, "SAVEPOINT sync_rows");
	if (err)
		return err;
	err = sync_write(call, table, kind, rows, count);
	if (!err)
		return pg_script(call->pg, "RELEASE SAVEPOINT sync_rows");
	if (!sync_is_row_failure(call->pg))
		return err;
	if (count == 1) {
		err = one_refused(call, rows[0]);
		return err ? err : pg_script(call->pg, "RELEASE SAVEPOINT sync_rows");
	}
	err = pg_script(call->pg, "ROLLBACK TO SAVEPOINT sync_rows; RELEASE SAVEPOINT sync_rows");
	if (!err)
		err = write_with_care(call, table, kind, rows, count / 2);
	if (!err)
		err = write_with_care(call, table, kind, rows + count / 2, count - count / 2);
	return err;
}

/* The rows of one table that say everything, or those that do not. */
static enum err push_table(struct sync_call *call, unsigned table, bool patch, struct sync_row **room)
{
	size_t count = 0;
	enum sync_statement kind = patch ? SYNC_PATCH : SYNC_PUSH;
	for (size_t i = 0; i < call->row_count; i++) {
		struct sync_row *row = &call->rows[i];
		if (row->table == table && row->code == REJECT_NONE && !row->dropped && (row->mask != NULL) == patch)
			room[count++] = row;
	}
	if (count == 0)
		return OK;
	return call->careful ? write_with_care(call, table, kind, room, count) : sync_write(call, table, kind, room, count);
}

static void forget_last_run(struct sync_call *call)
{
	for (size_t i = 0; i < call->row_count; i++)
		call->rows[i].returned = call->rows[i].dropped = false;
	call->merge_count = 0;
}

enum err sync_push(struct sync_call *call, bool *ret_rows_failed)
{
	struct sync_row **room = arena_array(call->arena, call->row_count, sizeof(struct sync_row *));
	enum err err = room ? OK : ERR_TOO_LARGE;
	forget_last_run(call);
	if (!err && call->careful)
		err = sync_check_parents(call);
	for (unsigned t = 0; !err && t < call->app->count; t++) {
		err = push_table(call, t, false, room);
		if (!err)
			err = push_table(call, t, true, room);
	}
	*ret_rows_failed = err && !call->careful && sync_is_row_failure(call->pg);
	return err;
}
