/*
 * The SQLite reader: container and header, schema, integrity check, META, then every table until END. Runs inside the sandbox,
 * called by read_main alone.
 * Must never hold more than its buffers and the library's heap, whatever the size of the file, and never end without END or FAIL.
 */
#include "readers/read.h"

#include "readers/sqlite_failures.h"
#include "readers/sqlite_file.h"
#include "readers/sqlite_meta.h"
#include "readers/sqlite_rows.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ARENA_MAX (16u << 20)
#define START_BYTES (SQLITE_PLIST_OFFSET + SQLITE_HEADER)

struct sqlite_reader {
	const struct read_options *options;
	struct frame_writer *writer;
	struct refusal refusal;
	struct arena arena;
	enum sqlite_container container;
	struct str plist;
	struct sqlite_header header;
	struct sqlite_database database;
	struct sqlite_schema schema;
	uint64_t rows_seen;
};

static enum err fail(struct sqlite_reader *r)
{
	const struct sentence *failure = sqlite_failure_find(r->refusal.code);
	return failure ? frame_put_fail(r->writer, failure->code, failure->text[0]) : ERR_BUG;
}

/* ---- what the file is ---- */

static enum err read_start(struct sqlite_reader *r, struct str *ret)
{
	char *bytes = arena_alloc(&r->arena, START_BYTES);
	size_t have = 0;
	ssize_t n = 1;
	if (!bytes)
		return ERR_TOO_LARGE;
	while (have < START_BYTES && (n > 0 || (n < 0 && errno == EINTR))) {
		n = pread(STDIN_FILENO, bytes + have, START_BYTES - have, (off_t)have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return refuse(&r->refusal, "read_error");
	*ret = (struct str){bytes, have};
	return OK;
}

/* The property list without what fills it up to its 4096 bytes. */
static struct str plist_of(struct str start)
{
	const char *end = memchr(start.p, 0, SQLITE_PLIST_OFFSET);
	struct str text = str_trim((struct str){start.p, end ? (size_t)(end - start.p) : SQLITE_PLIST_OFFSET});
	return utf8_valid(text.p, text.n) ? text : STR("");
}

static enum err open_database(struct sqlite_reader *r)
{
	struct str start = {NULL, 0};
	int64_t size = r->options->file_size;
	enum err err = read_start(r, &start);
	if (!err)
		err = sqlite_container_find(start, size, &r->container, &r->refusal);
	if (err)
		return err;
	int64_t offset = r->container == SQLITE_PLIST ? SQLITE_PLIST_OFFSET : 0;
	if (offset)
		r->plist = plist_of(start);
	err = sqlite_header_read((struct str){start.p + offset, start.n - (size_t)offset}, size - offset, &r->header, &r->refusal);
	if (!err)
		err = sqlite_file_use(STDIN_FILENO, offset, size - offset);
	if (!err)
		err = sqlite_open(&r->database, size - offset, &r->refusal);
	if (!err)
		err = sqlite_schema_read(&r->database, &r->header, &r->arena, &r->schema);
	if (!err)
		err = sqlite_schema_check(&r->database, &r->schema);
	return err;
}

/* ---- what is sent ---- */

static enum err send_meta(struct sqlite_reader *r)
{
	struct sqlite_source source = {r->container, r->plist, &r->header, &r->schema, r->options->file_size};
	struct buf json;
	buf_init(&json, FRAME_PAYLOAD_MAX);
	enum err err = sqlite_meta(&source, &json);
	err = err == ERR_TOO_LARGE ? refuse(&r->refusal, "sqlite_too_complex") : frame_put_meta(r->writer, (struct str){json.data, json.len});
	buf_release(&json);
	return err;
}

/* One each, about the whole file; META says which. */
static enum err send_notes(struct sqlite_reader *r)
{
	bool views = false, virtual_tables = false;
	for (size_t i = 0; i < r->schema.left_out_count; i++) {
		bool view = text_equal(r->schema.left_out[i].type, "view");
		views = views || view;
		virtual_tables = virtual_tables || !view;
	}
	const struct {
		bool holds;
		const char *code;
	} notes[] = {
		{views, "views_left_out"},
		{virtual_tables, "virtual_tables_left_out"},
		{r->schema.has_generated, "generated_columns_left_out"},
		{r->schema.has_virtual_columns, "tables_not_checked"},
	};
	enum err err = OK;
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]) && !err; i++)
		err = notes[i].holds ? frame_put_note(r->writer, 0, notes[i].code) : OK;
	return err;
}

/* Index of the table that was asked for. Names of tables differ in more than case. */
static enum err find_table(struct sqlite_reader *r, size_t *ret)
{
	for (size_t i = 0; i < r->schema.table_count; i++) {
		if (str_equal_ignore_case(r->schema.tables[i].name, r->options->table)) {
			*ret = i;
			return OK;
		}
	}
	return refuse(&r->refusal, "table_not_found");
}

static enum err send_tables(struct sqlite_reader *r, size_t first, size_t end)
{
	struct sqlite_rows rows;
	uint64_t skip = (uint64_t)r->options->skip_rows;
	enum err err = OK;
	sqlite_tighten(&r->database);
	sqlite_rows_init(&rows, &r->database, r->writer, r->header.encoding);
	for (size_t i = first; i < end && !err; i++, skip = 0)
		err = sqlite_rows_send(&rows, &r->schema.tables[i], (uint32_t)i, skip);
	sqlite_rows_release(&rows);
	r->rows_seen = rows.seen;
	return err;
}

static enum err read_database(struct sqlite_reader *r)
{
	size_t first = (size_t)r->options->from_table, end = 0;
	enum err err = open_database(r);
	end = r->schema.table_count;
	if (!err && r->options->table) {
		err = find_table(r, &first);
		end = first + 1;
	}
	if (!err)
		err = send_meta(r);
	if (!err)
		err = send_notes(r);
	if (!err && text_equal(r->options->mode, "rows"))
		err = send_tables(r, first, end);
	struct frame_end done = {.records = r->rows_seen, .bytes = (uint64_t)r->options->file_size};
	return err == ERR_INVALID ? fail(r) : err ? err : frame_put_end(r->writer, &done);
}

enum err sqlite_read(const struct read_options *options, struct frame_writer *writer)
{
	struct sqlite_reader r = {.options = options, .writer = writer};
	arena_init(&r.arena, ARENA_MAX);
	enum err err = read_database(&r);
	sqlite_close(&r.database);
	arena_release(&r.arena);
	return err;
}
