/*
 * The XLSX reader: container, relationships, styles, strings, then the chosen sheet; META, then rows until END. Runs inside
 * the sandbox, called by read_main alone.
 * Must never hold more than its buffers, whatever the size of the file, and never end without END or FAIL.
 */
#include "readers/read.h"

#include "readers/ole.h"
#include "readers/sandbox.h"
#include "readers/xlsx_meta.h"
#include "readers/xlsx_strings.h"

#include <unistd.h>

#define ARENA_MAX (16u << 20)
#define SAMPLE_MAX (8u << 20)

struct xlsx_reader {
	const struct read_options *options;
	struct frame_writer *writer;
	struct refusal refusal;
	struct arena arena, sample_arena, scratch;
	struct archive archive;
	struct xlsx_book book;
	struct xlsx_styles styles;
	struct string_store strings;
	struct xlsx_sheet sheet;
	const struct xlsx_sheet_entry *entry;
	struct xlsx_sample sample;
	struct header header;
	struct str *cells; /* of a row of the sample, as wide as a row can be */
	uint64_t last;     /* number of the row sent last, or of the last one not to be sent */
	struct frame_end end;
};

static const struct {
	const char *code, *message;
} failures[] = {
	{"empty_file", "The file is empty."},
	{"read_error", "The file could not be read to its end."},
	{"password_protected", "The workbook is protected by a password; save it without one."},
	{"old_excel", "This is an old Excel workbook (.xls); save it as .xlsx first."},
	{"looks_like_xls", "This is an old Excel workbook (.xls) or a protected one; save it as .xlsx first."},
	{"looks_like_ods", "This is an OpenDocument spreadsheet (.ods); save it as .xlsx first."},
	{"looks_like_xlsb", "This is a binary Excel workbook (.xlsb); save it as .xlsx first."},
	{"not_a_workbook", "This is not an Excel workbook (.xlsx)."},
	{"zip_damaged", "The workbook is damaged: its zip archive cannot be read."},
	{"zip_bad_checksum", "The workbook is damaged: a checksum in its zip archive is wrong."},
	{"zip_too_many_entries", "The zip archive of the workbook has more entries than is accepted."},
	{"zip_duplicate_entry", "The zip archive of the workbook has two entries of the same name."},
	{"zip_encrypted_entry", "The zip archive of the workbook is encrypted."},
	{"zip_method_unsupported", "The zip archive of the workbook is compressed in an unusual way."},
	{"unpacks_too_large", "The workbook unpacks to more than is accepted."},
	{"unpacks_too_dense", "The workbook unpacks to suspiciously many times its size."},
	{"part_missing", "The workbook is damaged: a part that it refers to is missing."},
	{"no_worksheet", "The workbook has no worksheet."},
	{"sheet_not_found", "The workbook has no worksheet of this name."},
	{"xml_malformed", "The workbook is damaged: a part of it is not well-formed XML."},
	{"xml_doctype", "A part of the workbook declares a document type, which no spreadsheet program writes."},
	{"xml_encoding", "The text of the workbook is not in UTF-8 or UTF-16."},
	{"xml_too_complex", "A part of the workbook is nested too deeply or has too large tags."},
	{"bad_cell_reference", "The sheet has a cell or a row whose position cannot be read."},
	{"rows_out_of_order", "The rows of the sheet are not in order; open the workbook in a spreadsheet program and save it again."},
	{"too_many_columns", "A row has more columns than can be imported."},
	{"too_many_rows", "The sheet has more rows than a worksheet can have."},
	{"shared_strings_too_large", "The texts of the workbook take more room than is accepted."},
};

static enum err fail(struct xlsx_reader *r)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (text_equal(failures[i].code, r->refusal.code))
			return frame_put_fail(r->writer, failures[i].code, failures[i].message);
	}
	return ERR_BUG;
}

/* ---- the workbook ---- */

static enum err open_book(struct xlsx_reader *r)
{
	const struct read_options *options = r->options;
	struct archive_limits limits = {options->max_entries, options->max_part, options->max_unpacked, options->max_ratio};
	struct xlsx_sheet_limits sheet_limits = {(size_t)options->max_columns, (size_t)options->max_field, (size_t)options->max_record};
	const char *ole = options->file_size ? ole_refusal(STDIN_FILENO) : "empty_file";
	if (ole)
		return refuse(&r->refusal, ole);
	enum err err = archive_open(&r->archive, STDIN_FILENO, options->file_size, &limits, &r->refusal);
	if (!err)
		err = xlsx_book_open(&r->book, &r->archive, &r->arena, &r->refusal);
	if (!err)
		err = xlsx_styles_read(&r->book, &r->styles);
	string_store_init(&r->strings, (size_t)options->strings_memory, options->scratch ? SANDBOX_SCRATCH : -1, &r->refusal);
	if (!err)
		err = xlsx_strings_read(&r->book, &r->strings, (size_t)options->max_field + 4);
	if (!err)
		err = xlsx_sheet_init(&r->sheet, &r->book, &r->strings, &r->styles, &sheet_limits, &r->arena);
	r->cells = err ? NULL : arena_array(&r->arena, sheet_limits.columns, sizeof(r->cells[0]));
	return err ? err : r->cells ? OK : ERR_TOO_LARGE;
}

static enum err take_sample(struct xlsx_reader *r, const struct xlsx_sheet_entry *entry)
{
	arena_reset(&r->sample_arena);
	r->entry = entry;
	enum err err = xlsx_sheet_open(&r->sheet, entry);
	return err ? err : xlsx_sample_take(&r->sample, &r->sheet, &r->sample_arena);
}

static enum err take_named_sheet(struct xlsx_reader *r)
{
	for (size_t i = 0; i < r->book.sheet_count; i++) {
		if (str_equal_text(r->book.sheets[i].name, r->options->sheet))
			return take_sample(r, &r->book.sheets[i]);
	}
	return refuse(&r->refusal, "sheet_not_found");
}

/* The first visible sheet with content; else the first visible one; else the first. */
static enum err take_some_sheet(struct xlsx_reader *r)
{
	const struct xlsx_sheet_entry *first = NULL;
	for (size_t i = 0; i < r->book.sheet_count; i++) {
		const struct xlsx_sheet_entry *entry = &r->book.sheets[i];
		if (entry->hidden)
			continue;
		first = first ? first : entry;
		enum err err = take_sample(r, entry);
		if (err || r->sample.count)
			return err;
	}
	return take_sample(r, first ? first : &r->book.sheets[0]);
}

static enum err send_meta(struct xlsx_reader *r)
{
	struct xlsx_source source = {&r->book, r->entry, &r->sample, r->header, r->book.part.said, r->options->file_size};
	struct buf json;
	buf_init(&json, FRAME_PAYLOAD_MAX);
	enum err err = xlsx_meta(&source, &json);
	if (!err)
		err = frame_put_meta(r->writer, (struct str){json.data, json.len});
	buf_release(&json);
	return err;
}

/* ---- rows ---- */

static bool is_blank(const struct xlsx_row *row, size_t from)
{
	for (size_t i = from; i < row->cell_count; i++) {
		if (str_trim(row->cells[i]).n)
			return false;
	}
	return true;
}

static enum err send_notes(struct xlsx_reader *r, const struct xlsx_row *row)
{
	enum err err = OK;
	for (unsigned bit = 0; bit < XLSX_NOTE_COUNT && !err; bit++) {
		if (row->notes & 1u << bit)
			err = frame_put_note(r->writer, row->number, xlsx_note_code(1u << bit));
	}
	if (!err && (row->flags & ROW_FLAG_RECORD_TOO_LONG))
		err = frame_put_note(r->writer, row->number, row_flag_name(ROW_FLAG_RECORD_TOO_LONG));
	return err;
}

/* row->cells has room for all columns; those past cell_count are not set. */
static enum err send_row(struct xlsx_reader *r, const struct xlsx_row *row)
{
	if (row->number > r->end.records)
		r->end.records = row->number;
	if (row->number <= r->header.row || row->number <= (uint64_t)r->options->skip_rows)
		return OK;
	r->end.empty += row->number - r->last - 1;
	r->last = row->number;
	bool longer = row->cell_count > r->header.columns && !is_blank(row, r->header.columns);
	struct frame_row out = {row->number, row->number, row->flags, longer ? row->cell_count : (uint32_t)r->header.columns, row->cells};
	out.flags |= longer ? ROW_FLAG_LONG : 0;
	enum err err = row->notes | row->flags ? send_notes(r, row) : OK;
	return err ? err : frame_put_row(r->writer, &out);
}

static enum err send_sample(struct xlsx_reader *r)
{
	enum err err = OK;
	for (size_t i = 0; i < r->sample.count && !err; i++) {
		struct xlsx_row row = r->sample.rows[i];
		memset(r->cells, 0, (size_t)r->options->max_columns * sizeof(r->cells[0]));
		memcpy(r->cells, row.cells, row.cell_count * sizeof(row.cells[0]));
		row.cells = r->cells;
		err = send_row(r, &row);
	}
	return err;
}

static enum err send_sheet(struct xlsx_reader *r)
{
	struct xlsx_row row;
	enum xlsx_step step = XLSX_END;
	uint64_t before = 0;
	enum err err = xlsx_sheet_open(&r->sheet, r->entry);
	while (!err && (step = xlsx_sheet_next(&r->sheet, &row)) == XLSX_ROW) {
		err = row.number > before ? send_row(r, &row) : refuse(&r->refusal, "rows_out_of_order");
		before = row.number;
	}
	return err ? err : step == XLSX_FAILED ? r->sheet.error : OK;
}

static enum err read_book(struct xlsx_reader *r)
{
	enum err err = open_book(r);
	if (!err)
		err = r->options->sheet ? take_named_sheet(r) : take_some_sheet(r);
	if (!err)
		err = xlsx_sample_header(&r->sample, &r->scratch, r->options->header_row, &r->header);
	arena_release(&r->scratch);
	if (!err)
		err = send_meta(r);
	r->last = (uint64_t)r->options->skip_rows > r->header.row ? (uint64_t)r->options->skip_rows : r->header.row;
	if (!err && text_equal(r->options->mode, "rows"))
		err = r->sample.whole ? send_sample(r) : send_sheet(r);
	r->end.bytes = (uint64_t)r->options->file_size;
	return err == ERR_INVALID ? fail(r) : err ? err : frame_put_end(r->writer, &r->end);
}

enum err xlsx_read(const struct read_options *options, struct frame_writer *writer)
{
	struct xlsx_reader r = {.options = options, .writer = writer};
	arena_init(&r.arena, ARENA_MAX);
	arena_init(&r.sample_arena, SAMPLE_MAX);
	arena_init(&r.scratch, ARENA_MAX);
	enum err err = read_book(&r);
	string_store_release(&r.strings);
	xlsx_book_close(&r.book);
	archive_close(&r.archive);
	arena_release(&r.scratch);
	arena_release(&r.sample_arena);
	arena_release(&r.arena);
	return err;
}
