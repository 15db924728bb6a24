/*
 * The CSV reader: sample, detection, META, then rows until END. Runs inside the sandbox, called by read_main alone.
 * UTF-8 and single-byte files go from the kernel straight into the window of the CSV machine, and only cells that are not
 * plain ASCII are looked at again; UTF-16 is transcoded on the way in.
 * Must never hold more than its buffers, whatever the size of the file, and never end without END or FAIL.
 */
#include "readers/read.h"

#include "core/base/arena.h"
#include "core/base/text.h"
#include "readers/csv.h"
#include "readers/csv_detect.h"
#include "readers/csv_meta.h"
#include "readers/csv_skip.h"
#include "readers/encoding.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ARENA_MAX (16u << 20)
#define UTF16_BLOCK (64u << 10)

struct csv_reader {
	const struct read_options *options;
	struct frame_writer *writer;
	struct arena arena, scratch;
	struct buf decoded; /* cells of the current row that are not plain UTF-8 */
	struct csv_source source;
	struct csv csv;
	struct utf16 utf16;
	int64_t position; /* in the file */
	char *raw;        /* UTF16_BLOCK bytes, for UTF-16 only */
	struct frame_end end;
	bool failed; /* FAIL was sent: nothing may follow */
};

static const struct {
	const char *code, *message;
} failures[] = {
	{"empty_file", "The file is empty."},
	{"not_a_text_file", "This is not a text file, so it cannot be a CSV file."},
	{"looks_like_xlsx", "This is an Excel workbook (.xlsx) or a zip archive, not a CSV file."},
	{"looks_like_xls", "This is an old Excel workbook (.xls) or a protected one, not a CSV file."},
	{"too_many_columns", "A row has more columns than can be imported."},
	{"unknown_encoding", "The chosen encoding is not known."},
	{"bad_delimiter", "The chosen delimiter cannot separate columns."},
	{"read_error", "The file could not be read to its end."},
};

static enum err fail(struct csv_reader *r, const char *code)
{
	r->failed = true;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (strcmp(failures[i].code, code) == 0)
			return frame_put_fail(r->writer, code, failures[i].message);
	}
	return ERR_BUG;
}

/* As pread, but for interruptions. */
static ssize_t read_at(char *to, size_t n, int64_t position)
{
	for (;;) {
		ssize_t got = pread(STDIN_FILENO, to, n, position);
		if (got >= 0 || errno != EINTR)
			return got;
	}
}

/* ---- what the file is ---- */

static enum err parse_delimiter(const char *text, char *ret)
{
	if (!text)
		return OK;
	if (text_equal(text, "tab"))
		text = "\t";
	if (strlen(text) != 1 || strchr("\r\n\"", text[0]) || (unsigned char)text[0] >= 0x80)
		return ERR_INVALID;
	*ret = text[0];
	return OK;
}

/* Fills source.raw and source.text; *ret_code says why the file cannot be a CSV file. */
static enum err take_sample(struct csv_reader *r, const char **ret_code)
{
	struct csv_source *source = &r->source;
	char *bytes = arena_alloc(&r->arena, CSV_SAMPLE);
	if (!bytes)
		return ERR_TOO_LARGE;
	ssize_t n = 1;
	size_t have = 0;
	for (; n > 0 && have < CSV_SAMPLE; have += n > 0 ? (size_t)n : 0)
		n = read_at(bytes + have, CSV_SAMPLE - have, (int64_t)have);
	*ret_code = n < 0 ? "read_error" : have == 0 ? "empty_file" : csv_not_text(bytes, have);
	if (*ret_code)
		return OK;
	struct encoding_guess guess = encoding_detect(bytes, have);
	if (r->options->encoding && encoding_parse(r->options->encoding, &guess.encoding)) {
		*ret_code = "unknown_encoding";
		return OK;
	}
	guess.bom = encoding_bom(guess.encoding, bytes, have);
	*source = (struct csv_source){.encoding = guess.encoding, .bom = guess.bom, .sampled = have, .whole = have < CSV_SAMPLE,
				      .file_size = (uint64_t)r->options->file_size};
	source->text = (struct str){bytes + guess.bom, have - guess.bom};
	source->is_utf16 = guess.encoding == ENCODING_UTF16LE || guess.encoding == ENCODING_UTF16BE;
	if (source->is_utf16) {
		struct utf16 utf16 = {.big_endian = guess.encoding == ENCODING_UTF16BE};
		char *text = arena_alloc(&r->arena, UTF16_ROOM(CSV_SAMPLE));
		if (!text)
			return ERR_TOO_LARGE;
		source->text = (struct str){text, utf16_decode(&utf16, bytes + guess.bom, have - guess.bom, false, text)};
	}
	*ret_code = csv_mostly_control(source->text.p, source->text.n) ? "not_a_text_file" : source->text.n == 0 ? "empty_file" : NULL;
	return OK;
}

static enum err detect(struct csv_reader *r, const char **ret_code)
{
	struct csv_wish wish = {.header_row = r->options->header_row};
	if (parse_delimiter(r->options->delimiter, &wish.delimiter)) {
		*ret_code = "bad_delimiter";
		return OK;
	}
	enum err err = take_sample(r, ret_code);
	if (err || *ret_code)
		return err;
	err = csv_detect(&r->scratch, r->source.text, r->source.whole, &wish, &r->source.layout);
	if (!err && r->source.layout.too_many)
		*ret_code = "too_many_columns";
	return err;
}

/* ---- the file as a stream of records ---- */

/* The next bytes of the file into the machine's window. *ret_code on a read error. */
static void feed(struct csv_reader *r, const char **ret_code)
{
	size_t room = 0;
	char *to = csv_room(&r->csv, &room);
	char *into = r->source.is_utf16 ? r->raw : to;
	ssize_t n = read_at(into, r->source.is_utf16 ? UTF16_BLOCK : room, r->position);
	if (n < 0) {
		*ret_code = "read_error";
		return;
	}
	r->position += n;
	csv_fed(&r->csv, r->source.is_utf16 ? utf16_decode(&r->utf16, r->raw, (size_t)n, n == 0, to) : (size_t)n);
	if (n == 0)
		csv_finish(&r->csv);
}

static enum err open_stream(struct csv_reader *r)
{
	const struct csv_source *source = &r->source;
	const struct read_options *options = r->options;
	struct csv_limits limits = {(size_t)options->max_record, (size_t)options->max_field, (size_t)options->max_quoted_lines,
				    (size_t)options->max_columns};
	size_t directive = source->layout.directive;
	r->position = (int64_t)(source->bom + directive * (source->is_utf16 ? 2 : 1));
	r->utf16.big_endian = source->encoding == ENCODING_UTF16BE;
	if (source->is_utf16) {
		r->raw = arena_alloc(&r->arena, UTF16_BLOCK);
		if (!r->raw)
			return ERR_TOO_LARGE;
	}
	arena_release(&r->scratch);
	enum err err = csv_init(&r->csv, &r->arena, &source->layout.dialect, &limits, source->is_utf16 ? directive : (uint64_t)r->position);
	if (!err)
		csv_expect(&r->csv, source->layout.columns);
	return err;
}

/* ---- rows ---- */

/* Cells of a record that has bytes past ASCII: UTF-8 stays where it is, everything else is decoded. */
static enum err decode_cells(struct csv_reader *r, struct csv_record *record)
{
	size_t total = 0;
	for (uint32_t i = 0; i < record->cell_count; i++)
		total += record->cells[i].n;
	enum encoding encoding = r->source.is_utf16 ? ENCODING_UTF8 : r->source.encoding;
	unsigned findings = 0;
	char *to = NULL;
	for (uint32_t i = 0; i < record->cell_count; i++) {
		struct str *cell = &record->cells[i];
		if (!csv_maybe_not_ascii(cell->p, cell->n))
			continue;
		if (encoding == ENCODING_UTF8 && utf8_valid(cell->p, cell->n)) {
			if (r->source.is_utf16 && memmem(cell->p, cell->n, "\xef\xbf\xbd", 3))
				findings |= ENCODING_REPLACED;
			continue;
		}
		if (!to) {
			buf_clear(&r->decoded);
			to = buf_reserve(&r->decoded, 3 * total);
			if (!to)
				return ERR_TOO_LARGE;
		}
		*cell = (struct str){to, encoding_decode(encoding, cell->p, cell->n, to, &findings)};
		to += cell->n;
	}
	record->flags |= (findings & ENCODING_REPLACED ? ROW_FLAG_INVALID_BYTES : 0) | (findings & ENCODING_MIXED ? ROW_FLAG_MIXED_ENCODING : 0);
	return OK;
}

/* A row that grew past a frame in decoding loses the text of its last cells. */
static void fit_in_frame(struct frame_row *row, struct str *cells)
{
	size_t size = frame_row_size(row);
	for (uint32_t i = row->cell_count; i-- > 0 && size > FRAME_PAYLOAD_MAX - 4;) {
		size -= cells[i].n;
		cells[i].n = 0;
		row->flags |= ROW_FLAG_RECORD_TOO_LONG;
	}
}

static enum err send_record(struct csv_reader *r, struct csv_record *record)
{
	if (record->number <= r->source.layout.header_row || record->number <= (uint64_t)r->options->skip_rows)
		return OK;
	if (record->empty) {
		r->end.empty++;
		return OK;
	}
	enum err err = record->maybe_not_ascii ? decode_cells(r, record) : OK;
	if (err)
		return err;
	struct frame_row row = {record->number, record->offset, record->flags, record->cell_count, record->cells};
	fit_in_frame(&row, record->cells);
	for (unsigned flag = ROW_FLAG_UNCLOSED_QUOTE; flag <= ROW_FLAG_RECORD_TOO_LONG && !err; flag <<= 1) {
		if (row.flags & flag)
			err = frame_put_note(r->writer, row.number, row_flag_name(flag));
	}
	return err ? err : frame_put_row(r->writer, &row);
}

static enum err send_rows(struct csv_reader *r)
{
	struct csv_record record;
	const char *code = NULL;
	enum err err = open_stream(r);
	while (!err && !code) {
		enum csv_step step = csv_next(&r->csv, &record);
		if (step == CSV_DONE)
			break;
		r->end.records = step == CSV_RECORD ? record.number : r->end.records;
		if (step == CSV_RECORD)
			err = send_record(r, &record);
		else if (step == CSV_MORE)
			feed(r, &code);
		else
			code = "too_many_columns";
	}
	return err ? err : code ? fail(r, code) : OK;
}

static enum err send_meta(struct csv_reader *r)
{
	struct buf json;
	buf_init(&json, FRAME_PAYLOAD_MAX);
	enum err err = csv_meta(&r->scratch, &r->source, &json);
	if (!err)
		err = frame_put_meta(r->writer, (struct str){json.data, json.len});
	buf_release(&json);
	return err;
}

static enum err read_file(struct csv_reader *r)
{
	const char *code = NULL;
	enum err err = detect(r, &code);
	if (err || code)
		return err ? err : fail(r, code);
	err = send_meta(r);
	if (!err && text_equal(r->options->mode, "rows"))
		err = send_rows(r);
	r->end.bytes = r->position ? (uint64_t)r->position : r->source.sampled;
	return err || r->failed ? err : frame_put_end(r->writer, &r->end);
}

enum err csv_read(const struct read_options *options, struct frame_writer *writer)
{
	struct csv_reader r = {.options = options, .writer = writer};
	arena_init(&r.arena, ARENA_MAX);
	arena_init(&r.scratch, ARENA_MAX);
	buf_init(&r.decoded, 3 * (size_t)(CSV_RECORD_MAX + CSV_BLOCK));
	enum err err = read_file(&r);
	buf_release(&r.decoded);
	arena_release(&r.scratch);
	arena_release(&r.arena);
	return err;
}
