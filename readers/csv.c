/*
 * The CSV state machine. Callers: csv_read.c (the reader), csv_detect.c (on the sample), tests, the fuzzer.
 * First the extents of the fields of a record are found, byte by byte but for csv_skip over ordinary bytes; when the
 * record is whole, its cells are made, in place. Nothing is changed before, so that a record may be read again.
 * Must never let one bad quote or one endless line take more than its own line with it, nor hold more than one window.
 */
#include "readers/csv.h"

#include "readers/csv_skip.h"
#include "readers/frame.h"

#include <string.h>

enum scan { SCAN_RECORD, SCAN_MORE, SCAN_UNCLOSED, SCAN_TOO_LONG, SCAN_TOO_MANY };

static void begin_record(struct csv *csv)
{
	csv->state = CSV_AT_FIELD;
	csv->at = 0;
	csv->field = (struct csv_extent){.plain = true};
	csv->field_count = 0;
}

enum err csv_init(struct csv *csv, struct arena *arena, const struct csv_dialect *dialect, const struct csv_limits *limits, uint64_t offset)
{
	char delimiter = dialect->delimiter;
	if (delimiter == '\0' || delimiter == '\r' || delimiter == '\n' || delimiter == dialect->quote)
		return ERR_INVALID;
	if (limits->record_bytes < 1 || limits->record_bytes > CSV_RECORD_MAX || limits->columns < 1 || limits->columns > CSV_COLUMNS_MAX)
		return ERR_INVALID;
	*csv = (struct csv){.dialect = *dialect, .limits = *limits, .offset = offset, .literal_from = SIZE_MAX};
	csv->room = limits->record_bytes + CSV_BLOCK;
	csv->window = arena_alloc(arena, csv->room + CSV_SKIP_SLACK);
	csv->fields = arena_array(arena, limits->columns, sizeof(csv->fields[0]));
	csv->cells = arena_array(arena, limits->columns, sizeof(csv->cells[0]));
	begin_record(csv);
	return csv->window && csv->fields && csv->cells ? OK : ERR_TOO_LARGE;
}

void csv_expect(struct csv *csv, size_t columns)
{
	csv->columns = columns;
}

char *csv_room(struct csv *csv, size_t *ret_room)
{
	csv->start += csv->consumed;
	csv->consumed = 0;
	if (csv->room - csv->filled < CSV_BLOCK) {
		memmove(csv->window, csv->window + csv->start, csv->filled - csv->start);
		csv->offset += csv->start;
		csv->filled -= csv->start;
		csv->start = 0;
	}
	*ret_room = csv->room - csv->filled;
	return csv->window + csv->filled;
}

void csv_fed(struct csv *csv, size_t n)
{
	csv->filled += n;
}

void csv_finish(struct csv *csv)
{
	csv->finished = true;
}

/* ---- finding the fields of one record ---- */

/* The field ends before byte `end`. False: one column too many, and not empty. */
static bool end_field(struct csv *csv, size_t end)
{
	struct csv_extent field = csv->field;
	field.end = (uint32_t)end;
	csv->field = (struct csv_extent){.start = (uint32_t)end + 1, .plain = true};
	csv->state = CSV_AT_FIELD;
	if (csv->field_count == csv->limits.columns)
		return field.end - field.start <= (field.quoted ? 1 : 0);
	csv->fields[csv->field_count++] = field;
	return true;
}

/* At a delimiter or line end outside quotes. SCAN_MORE: the record goes on. */
static enum scan end_at(struct csv *csv, char c)
{
	if (!end_field(csv, csv->at))
		return SCAN_TOO_MANY;
	csv->at++;
	if (c == csv->dialect.delimiter)
		return SCAN_MORE;
	csv->skip_line_feed = c == '\r';
	return SCAN_RECORD;
}

/* Inside quotes. False: this quote is never closed. */
static bool scan_quoted(struct csv *csv, const char *bytes, size_t to)
{
	const char quote = csv->dialect.quote, escape = (char)(csv->dialect.backslash ? '\\' : quote);
	csv->at = csv_skip(bytes, csv->at, to, quote, escape, '\n', '\r');
	if (csv->at == to)
		return true;
	char c = bytes[csv->at];
	if (c == quote)
		csv->state = CSV_QUOTE_SEEN;
	else if (c == escape)
		csv->state = CSV_ESCAPED;
	else if (c == '\r' || bytes[csv->at - 1] != '\r')
		csv->quoted_lines++;
	csv->at++;
	return csv->quoted_lines <= csv->limits.quoted_lines;
}

/* The byte after a quote inside quotes (not NUL, delimiter or line end) or after a backslash. */
static void scan_after(struct csv *csv, char c)
{
	if (csv->state == CSV_ESCAPED) {
		bool escaped = c == csv->dialect.quote || c == '\\';
		csv->at += escaped;
		csv->state = CSV_QUOTED;
	} else if (c == csv->dialect.quote) {
		csv->at++;
		csv->state = CSV_QUOTED;
	} else {
		csv->state = CSV_UNQUOTED;
	}
	csv->field.plain = false;
}

static bool opens_quote(const struct csv *csv, char c)
{
	return c == csv->dialect.quote && c != '\0' && csv->at < csv->literal_from;
}

static enum scan scan_field_start(struct csv *csv, char c)
{
	if (opens_quote(csv, c)) {
		csv->quote_at = csv->at++;
		csv->quoted_lines = 0;
		csv->field = (struct csv_extent){.start = (uint32_t)csv->at, .quoted = true, .plain = true};
		csv->state = CSV_QUOTED;
	} else if (c == '\0') {
		csv->at++;
	} else {
		csv->state = CSV_UNQUOTED;
	}
	return SCAN_MORE;
}

static enum scan scan_record(struct csv *csv)
{
	const char *bytes = csv->window + csv->start;
	const char delimiter = csv->dialect.delimiter;
	size_t have = csv->filled - csv->start, cap = csv->limits.record_bytes, to = have < cap ? have : cap;
	while (csv->at < to) {
		char c = bytes[csv->at];
		enum scan scan = SCAN_MORE;
		if (csv->state == CSV_UNQUOTED) {
			csv->at = csv_skip(bytes, csv->at, to, delimiter, '\n', '\r', '\r');
			if (csv->at < to)
				scan = end_at(csv, bytes[csv->at]);
		} else if (csv->state == CSV_AT_FIELD) {
			scan = scan_field_start(csv, c);
		} else if (csv->state == CSV_QUOTED) {
			if (!scan_quoted(csv, bytes, to))
				return SCAN_UNCLOSED;
		} else if (c == '\0') {
			csv->at++;
		} else if (csv->state == CSV_QUOTE_SEEN && (c == delimiter || c == '\n' || c == '\r')) {
			scan = end_at(csv, c);
		} else {
			scan_after(csv, c);
		}
		if (scan != SCAN_MORE)
			return scan;
	}
	bool open = csv->state == CSV_QUOTED || csv->state == CSV_ESCAPED;
	if (have <= cap && !csv->finished)
		return SCAN_MORE;
	if (open)
		return SCAN_UNCLOSED;
	if (!end_field(csv, to))
		return SCAN_TOO_MANY;
	return have <= cap ? SCAN_RECORD : SCAN_TOO_LONG;
}

/* ---- making the cells ---- */

static size_t skip_nul(const char *bytes, size_t from, size_t n)
{
	while (from < n && bytes[from] == '\0')
		from++;
	return from;
}

/* The value of a field with doubled quotes, escapes, text after the closing quote or NUL, written over it. Returns its length. */
static size_t clean_cell(char *bytes, size_t n, bool quoted, const struct csv_dialect *dialect)
{
	size_t length = 0;
	bool inside = quoted;
	for (size_t i = skip_nul(bytes, 0, n); i < n; i = skip_nul(bytes, i + 1, n)) {
		char c = bytes[i];
		size_t next = skip_nul(bytes, i + 1, n);
		char after = (char)(next < n ? bytes[next] : '\0');
		if (inside && dialect->backslash && c == '\\' && (after == dialect->quote || after == '\\')) {
			c = after;
			i = next;
		} else if (inside && c == dialect->quote) {
			if (after != dialect->quote) {
				inside = false;
				continue;
			}
			i = next;
		}
		bytes[length++] = c;
	}
	return length;
}

/* At most cap bytes, not ending inside a UTF-8 character. */
static size_t cut_length(const char *bytes, size_t cap)
{
	size_t n = cap;
	while (n && n + 3 > cap && ((unsigned char)bytes[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static bool is_blank(struct str cell)
{
	for (size_t i = 0; i < cell.n; i++) {
		if (cell.p[i] != ' ' && cell.p[i] != '\t')
			return false;
	}
	return true;
}

static struct str make_cell(struct csv *csv, char *bytes, struct csv_extent field, bool has_nul)
{
	struct str cell = {bytes + field.start, field.end - field.start};
	if (has_nul || !field.plain)
		cell.n = clean_cell(bytes + field.start, cell.n, field.quoted, &csv->dialect);
	else if (field.quoted)
		cell.n--;
	if (cell.n > csv->limits.field_bytes) {
		cell.n = cut_length(cell.p, csv->limits.field_bytes);
		csv->flags |= ROW_FLAG_FIELD_TOO_LONG;
	}
	return cell;
}

static uint32_t check_shape(const struct csv_record *record, size_t columns)
{
	if (columns == 0 || record->empty || record->cell_count == columns)
		return 0;
	return record->cell_count < columns ? ROW_FLAG_SHORT : ROW_FLAG_LONG;
}

static void make_record(struct csv *csv, struct csv_record *record)
{
	char *bytes = csv->window + csv->start;
	bool has_nul = memchr(bytes, 0, csv->at) != NULL;
	if (has_nul)
		csv->flags |= ROW_FLAG_NUL_REMOVED;
	bool empty = true;
	for (uint32_t i = 0; i < csv->field_count; i++) {
		csv->cells[i] = make_cell(csv, bytes, csv->fields[i], has_nul);
		empty = empty && is_blank(csv->cells[i]);
	}
	*record = (struct csv_record){.number = ++csv->number,
				      .offset = csv->offset + csv->start,
				      .empty = empty,
				      .maybe_not_ascii = csv_maybe_not_ascii(bytes, csv->at),
				      .cell_count = csv->field_count,
				      .cells = csv->cells};
	struct str *last = &csv->cells[csv->field_count - 1];
	if (csv->discarding)
		last->n = cut_length(last->p, last->n);
	while (csv->columns && record->cell_count > csv->columns && record->cells[record->cell_count - 1].n == 0)
		record->cell_count--;
	record->flags = csv->flags | check_shape(record, csv->columns);
	csv->consumed = csv->at;
	csv->flags = 0;
	csv->literal_from = SIZE_MAX;
	begin_record(csv);
}

/* ---- one record after the other ---- */

/* Drops what belongs to the record before: the line feed of a CRLF, the rest of a line that was too long. */
static void drop_leftovers(struct csv *csv)
{
	csv->start += csv->consumed;
	csv->consumed = 0;
	if (csv->discarding) {
		csv->start = csv_skip(csv->window, csv->start, csv->filled, '\n', '\r', '\n', '\r');
		if (csv->start == csv->filled)
			return;
		csv->discarding = false;
		csv->skip_line_feed = csv->window[csv->start++] == '\r';
	}
	while (csv->skip_line_feed && csv->start < csv->filled) {
		char c = csv->window[csv->start];
		csv->start += c == '\n' || c == '\0';
		csv->flags |= c == '\0' ? ROW_FLAG_NUL_REMOVED : 0;
		csv->skip_line_feed = c == '\0';
	}
}

enum csv_step csv_next(struct csv *csv, struct csv_record *record)
{
	if (csv->at == 0)
		drop_leftovers(csv);
	if (csv->start == csv->filled)
		return csv->finished ? CSV_DONE : CSV_MORE;
	enum scan scan = scan_record(csv);
	if (scan == SCAN_UNCLOSED) {
		csv->literal_from = csv->quote_at;
		csv->flags |= ROW_FLAG_UNCLOSED_QUOTE;
		begin_record(csv);
		scan = scan_record(csv);
	}
	if (scan == SCAN_MORE)
		return CSV_MORE;
	if (scan == SCAN_TOO_MANY)
		return CSV_TOO_MANY_COLUMNS;
	if (scan == SCAN_TOO_LONG) {
		csv->flags |= ROW_FLAG_RECORD_TOO_LONG;
		csv->discarding = true;
	}
	make_record(csv, record);
	return CSV_RECORD;
}
