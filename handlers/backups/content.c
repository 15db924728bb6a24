/*
 * The content hash. Called while a snapshot is dumped, and for the copy that a test restore made. Must never look at a value through a
 * conversion: the storage class is asked first.
 */
#include "handlers/backups/content.h"

#include <endian.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { HELD = 65536, HASH = 32 };

/*
 * The hash of what was put so far. With beside, a thread of its own takes full pieces, so that whoever reads rows goes on meanwhile; it is
 * started by the first full one. Two pieces go back and forth: `filled` counts those it may take, `empty` those it has given back.
 */
struct hasher {
	crypto_generichash_state hash;
	size_t held; /* bytes in the piece at hand */
	int piece;
	bool beside, running;
	pthread_t thread;
	sem_t filled, empty;
	size_t lengths[2]; /* of a piece that was handed over; 0 ends the thread */
	char bytes[2][HELD];
};

static void update(struct hasher *hasher, const char *bytes, size_t n)
{
	crypto_generichash_update(&hasher->hash, (const unsigned char *)bytes, n);
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		;
}

static void *hash_beside(void *context)
{
	struct hasher *hasher = context;
	for (int piece = 0;; piece ^= 1) {
		wait_for(&hasher->filled);
		if (!hasher->lengths[piece])
			return NULL;
		update(hasher, hasher->bytes[piece], hasher->lengths[piece]);
		sem_post(&hasher->empty);
	}
}

/* Without a thread the work is done all the same. Signals are for the thread that was there first. */
static bool start_thread(struct hasher *hasher)
{
	sigset_t all, before;
	if (sem_init(&hasher->filled, 0, 0) || sem_init(&hasher->empty, 0, 2))
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	hasher->running = pthread_create(&hasher->thread, NULL, hash_beside, hasher) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (hasher->running)
		wait_for(&hasher->empty); /* the piece at hand is ours */
	return hasher->running;
}

static void hand_over(struct hasher *hasher, size_t n)
{
	hasher->lengths[hasher->piece] = n;
	sem_post(&hasher->filled);
	hasher->piece ^= 1;
	wait_for(&hasher->empty);
}

static void flush(struct hasher *hasher)
{
	if (hasher->beside && !hasher->running)
		hasher->beside = start_thread(hasher);
	if (hasher->running && hasher->held)
		hand_over(hasher, hasher->held);
	else
		update(hasher, hasher->bytes[hasher->piece], hasher->held);
	hasher->held = 0;
}

static void put(struct hasher *hasher, const void *bytes, size_t n)
{
	const char *from = bytes;
	while (n > HELD - hasher->held) {
		size_t part = HELD - hasher->held;
		memcpy(hasher->bytes[hasher->piece] + hasher->held, from, part);
		hasher->held = HELD;
		from += part;
		n -= part;
		flush(hasher);
	}
	memcpy(hasher->bytes[hasher->piece] + hasher->held, from, n);
	hasher->held += n;
}

/* The last piece, and the end of the thread. */
static void finish(struct hasher *hasher, uint8_t out[HASH])
{
	bool running = hasher->running;
	if (running && hasher->held)
		flush(hasher);
	if (running) {
		hasher->lengths[hasher->piece] = 0;
		sem_post(&hasher->filled);
		pthread_join(hasher->thread, NULL);
		sem_destroy(&hasher->filled);
		sem_destroy(&hasher->empty);
		hasher->running = false;
	}
	update(hasher, hasher->bytes[hasher->piece], hasher->held);
	hasher->held = 0;
	crypto_generichash_final(&hasher->hash, out, HASH);
}

static void put_number(struct hasher *hasher, int type, uint64_t value)
{
	char bytes[9] = {(char)type};
	value = htole64(value);
	memcpy(bytes + 1, &value, sizeof(value));
	put(hasher, bytes, sizeof(bytes));
}

static void put_cell(struct hasher *hasher, const struct content_cell *cell)
{
	uint64_t bits = (uint64_t)cell->integer;
	if (cell->type == SQLITE_FLOAT)
		memcpy(&bits, &cell->real, sizeof(bits));
	if (cell->type == SQLITE_TEXT || cell->type == SQLITE_BLOB)
		bits = cell->length;
	if (cell->type == SQLITE_NULL)
		put(hasher, "\5", 1);
	else
		put_number(hasher, cell->type, bits);
	if (cell->type == SQLITE_TEXT || cell->type == SQLITE_BLOB)
		put(hasher, cell->bytes, cell->length);
}

bool content_fetch(sqlite3_stmt *statement, bool utf16, int count, struct content_cell *cells)
{
	for (int i = 0; i < count; i++) {
		struct content_cell *cell = &cells[i];
		*cell = (struct content_cell){.type = sqlite3_column_type(statement, i), .bytes = ""};
		switch (cell->type) {
		case SQLITE_INTEGER:
			cell->integer = sqlite3_column_int64(statement, i);
			break;
		case SQLITE_FLOAT:
			cell->real = sqlite3_column_double(statement, i);
			break;
		case SQLITE_NULL:
			break;
		default:
			if (cell->type == SQLITE_BLOB)
				cell->bytes = sqlite3_column_blob(statement, i);
			else
				cell->bytes = utf16 ? sqlite3_column_text16(statement, i) : (const char *)sqlite3_column_text(statement, i);
			cell->length = (size_t)(cell->type == SQLITE_TEXT && utf16 ? sqlite3_column_bytes16(statement, i) : sqlite3_column_bytes(statement, i));
			if (!cell->bytes && cell->length)
				return false;
			if (!cell->bytes)
				cell->bytes = "";
		}
	}
	return true;
}

static enum err read_rows(sqlite3_stmt *statement, const struct source *source, struct source_table *table, struct hasher *hasher, struct content_cell *cells,
                          const struct content_reader *reader, int *ret_result)
{
	int count = table->column_count + (table->rowid ? 1 : 0), result = SQLITE_DONE;
	enum err err = OK;
	table->rows = 0;
	while (!err && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!content_fetch(statement, source->utf16, count, cells))
			return ERR_TOO_LARGE;
		for (int i = 0; i < count; i++)
			put_cell(hasher, &cells[i]);
		table->rows++;
		if (reader)
			err = reader->row(reader->context, cells, count);
	}
	*ret_result = result;
	return err;
}

/* One for the process: only one hash is made at a time. */
static struct hasher *new_hasher(bool beside)
{
	static struct hasher hasher;
	hasher.held = 0;
	hasher.piece = 0;
	hasher.beside = beside;
	return crypto_generichash_init(&hasher.hash, NULL, 0, HASH) == 0 ? &hasher : NULL;
}

enum err content_table(sqlite3 *db, struct arena *arena, const struct source *source, struct source_table *table, const struct content_reader *reader,
                       struct backup_failure *failure)
{
	const char *sql = source_select(arena, table);
	struct hasher *hasher = new_hasher(reader != NULL);
	struct content_cell *cells = arena_array(arena, (size_t)table->column_count + 1, sizeof(*cells));
	sqlite3_stmt *statement = NULL;
	if (!sql || !hasher || !cells)
		return ERR_TOO_LARGE;
	put(hasher, table->name, strlen(table->name) + 1);
	for (int i = 0; i < table->column_count; i++)
		put(hasher, table->columns[i].name, strlen(table->columns[i].name) + 1);
	int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	enum err err = OK;
	if (result == SQLITE_OK)
		err = read_rows(statement, source, table, hasher, cells, reader, &result);
	if (!err && result != SQLITE_DONE)
		err = source_failed(db, result, failure);
	sqlite3_finalize(statement);
	uint8_t hash[HASH];
	finish(hasher, hash);
	if (!err)
		memcpy(table->hash, hash, sizeof(hash));
	return err;
}

static enum err put_sequence(sqlite3 *db, struct hasher *hasher, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	struct content_cell cells[2];
	int result = sqlite3_prepare_v2(db, "SELECT name, seq FROM sqlite_sequence ORDER BY name, seq", -1, &statement, NULL);
	while (result == SQLITE_OK || result == SQLITE_ROW) {
		result = sqlite3_step(statement);
		if (result != SQLITE_ROW || !content_fetch(statement, false, 2, cells))
			break;
		put_cell(hasher, &cells[0]);
		put_cell(hasher, &cells[1]);
	}
	sqlite3_finalize(statement);
	return result == SQLITE_DONE ? OK : source_failed(db, result, failure);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct source_table *const *)a)->name, (*(const struct source_table *const *)b)->name);
}

enum err content_total(sqlite3 *db, struct arena *arena, const struct source *source, uint8_t ret[32], struct backup_failure *failure)
{
	struct hasher *hasher = new_hasher(false);
	const struct source_table **sorted = arena_array(arena, (size_t)source->table_count + 1, sizeof(struct source_table *));
	if (!hasher || !sorted)
		return ERR_TOO_LARGE;
	put(hasher, source->utf16 ? source->big_endian ? "UTF-16be" : "UTF-16le" : "UTF-8", source->utf16 ? 8 : 5);
	put_number(hasher, SQLITE_INTEGER, (uint64_t)source->user_version);
	put_number(hasher, SQLITE_INTEGER, (uint64_t)source->application_id);
	put(hasher, source->schema_hash, sizeof(source->schema_hash));
	enum err err = source->has_sequence ? put_sequence(db, hasher, failure) : OK;
	for (int i = 0; i < source->table_count; i++)
		sorted[i] = &source->tables[i];
	qsort(sorted, (size_t)source->table_count, sizeof(struct source_table *), by_name); /* cannot fail */
	for (int i = 0; i < source->table_count; i++)
		put(hasher, sorted[i]->hash, sizeof(sorted[i]->hash));
	uint8_t hash[HASH];
	finish(hasher, hash);
	if (!err)
		memcpy(ret, hash, sizeof(hash));
	return err;
}

enum err content_of(sqlite3 *db, struct arena *arena, struct source *ret_source, uint8_t ret[32], struct backup_failure *failure)
{
	enum err err = source_read(db, arena, ret_source, failure);
	for (int i = 0; !err && i < ret_source->table_count; i++)
		if (ret_source->tables[i].kind != SOURCE_VIRTUAL)
			err = content_table(db, arena, ret_source, &ret_source->tables[i], NULL, failure);
	return err ? err : content_total(db, arena, ret_source, ret, failure);
}
