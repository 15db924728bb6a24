/*
 * Rows become INSERT statements of at most 1000 rows and 90 000 bytes, whichever comes first; a longer row has a statement of its own. Called by
 * dump.c for every row. Must never hold more than a piece of a long value in its own memory, nor write a text in a form that the
 * sqlite3 shell, or a database of another encoding, would change.
 */
#include "handlers/backups/dump_value.h"

#include "core/base/text.h"

#include <string.h>

enum { PIECE = 1 << 18, SQL_MAX = 960000000 };

enum err dump_drain(struct dump *dump)
{
	if (dump->out.overflowed)
		return ERR_TOO_LARGE;
	enum err err = dump->out.len ? sink_put(&dump->request->to, dump->out.data, dump->out.len) : OK;
	dump->base += (int64_t)dump->out.len;
	buf_clear(&dump->out);
	dump->statement_at = dump->row_at = 0;
	return err;
}

/* ---- statements ---- */

/* Passes on the statements before the one at hand. */
static enum err drain_ended(struct dump *dump)
{
	struct buf *out = &dump->out;
	size_t n = dump->statement_at;
	enum err err = sink_put(&dump->request->to, out->data, n);
	memmove(out->data, out->data + n, out->len - n);
	out->len -= n;
	dump->base += (int64_t)n;
	dump->row_at -= n;
	dump->statement_at = 0;
	return err;
}

/* The row at hand becomes the first of a new statement. */
static enum err split(struct dump *dump)
{
	struct buf *out = &dump->out;
	size_t row = out->len - dump->row_at;
	if (!buf_reserve(out, dump->head_length))
		return ERR_TOO_LARGE;
	memmove(out->data + dump->row_at + dump->head_length, out->data + dump->row_at, row);
	memcpy(out->data + dump->row_at - 2, ";\n", 2);
	memcpy(out->data + dump->row_at, dump->head, dump->head_length);
	out->len += dump->head_length;
	dump->statement_at = dump->row_at;
	dump->row_at += dump->head_length;
	dump->rows = 0;
	return dump->statement_at < PIECE ? OK : drain_ended(dump);
}

enum err dump_end_statement(struct dump *dump)
{
	if (!dump->rows)
		return OK;
	dump->rows = 0;
	enum err err = buf_append(&dump->out, ";\n", 2);
	return err || dump->out.len < PIECE ? err : dump_drain(dump);
}

/* A long value is coming: its row gets a statement of its own, and leaves piece by piece. */
static enum err go_alone(struct dump *dump)
{
	if (dump->alone || !dump->table)
		return OK;
	enum err err = dump->rows ? split(dump) : OK;
	dump->alone = true;
	return err ? err : dump_drain(dump);
}

/* ---- values ---- */

static enum err put_hex(struct dump *dump, const char *bytes, size_t n, bool swap)
{
	enum err err = buf_append(&dump->out, "X'", 2);
	while (!err && n) {
		size_t piece = n < PIECE ? n : PIECE;
		if (swap) {
			buf_clear(&dump->utf8);
			for (size_t i = 0; i + 1 < piece; i += 2) {
				char pair[2] = {bytes[i + 1], bytes[i]};
				buf_append(&dump->utf8, pair, 2);
			}
			err = literal_put_hex(&dump->out, (const uint8_t *)dump->utf8.data, piece & ~(size_t)1);
		} else {
			err = literal_put_hex(&dump->out, (const uint8_t *)bytes, piece);
		}
		bytes += piece;
		n -= piece;
		if (!err && n)
			err = dump_drain(dump);
	}
	return err ? err : buf_append_char(&dump->out, '\'');
}

static enum err put_cast(struct dump *dump, const char *bytes, size_t n)
{
	buf_append(&dump->out, "CAST(", 5);
	enum err err = put_hex(dump, bytes, n, dump->source->big_endian);
	return err ? err : buf_append(&dump->out, " AS TEXT)", 9);
}

/* Well-formed UTF-8 without NUL and CR, in pieces when it is long. */
static enum err put_clean(struct dump *dump, const char *text, size_t n, unsigned flags)
{
	if (n <= PIECE)
		return literal_put_text(&dump->out, text, n, flags);
	enum err err = buf_append_char(&dump->out, '\'');
	while (!err && n) {
		size_t piece = n < PIECE ? n : PIECE;
		for (size_t i = 0; i < piece; i++) {
			buf_append_char(&dump->out, text[i]);
			if (text[i] == '\'')
				buf_append_char(&dump->out, '\'');
		}
		text += piece;
		n -= piece;
		err = dump_drain(dump);
	}
	return err ? err : buf_append_char(&dump->out, '\'');
}

/* UTF-16LE into dump->utf8. False where it is no well-formed text. */
static bool to_utf8(struct dump *dump, const char *bytes, size_t n)
{
	buf_clear(&dump->utf8);
	for (size_t i = 0; i < n; i += 2) {
		char encoded[4];
		if (i + 2 > n)
			return false;
		uint32_t unit = (uint8_t)bytes[i] | (uint32_t)(uint8_t)bytes[i + 1] << 8;
		if (unit >= 0xD800 && unit < 0xDC00 && i + 4 <= n) {
			uint32_t low = (uint8_t)bytes[i + 2] | (uint32_t)(uint8_t)bytes[i + 3] << 8;
			if (low < 0xDC00 || low > 0xDFFF)
				return false;
			unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
			i += 2;
		} else if (unit >= 0xD800 && unit < 0xE000) {
			return false;
		}
		if (buf_append(&dump->utf8, encoded, utf8_encode(unit, encoded)))
			return false;
	}
	return true;
}

/* A byte order mark would be taken for one when the text is read in again. */
static bool has_mark(const char *text, size_t n)
{
	return n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
}

static enum err put_text(struct dump *dump, const char *bytes, size_t n)
{
	const char *text = bytes;
	size_t length = n;
	if (dump->source->utf16) {
		if (n > PIECE || !to_utf8(dump, bytes, n))
			return put_cast(dump, bytes, n);
		text = buf_text(&dump->utf8);
		length = dump->utf8.len;
	}
	unsigned flags = literal_scan(text, length);
	if (flags & LITERAL_HIDDEN || (flags & LITERAL_HIGH && (!utf8_valid(text, length) || has_mark(text, length))))
		return put_cast(dump, bytes, n);
	return put_clean(dump, text, length, flags);
}

enum err dump_put_cell(struct dump *dump, const struct content_cell *cell)
{
	char *to = buf_reserve(&dump->out, LITERAL_REAL_MAX);
	if (!to)
		return ERR_TOO_LARGE;
	switch (cell->type) {
	case SQLITE_INTEGER:
		dump->out.len += literal_integer(cell->integer, to);
		return OK;
	case SQLITE_FLOAT:
		dump->out.len += literal_real(&dump->parser, cell->real, to);
		return OK;
	case SQLITE_NULL:
		return buf_append(&dump->out, "NULL", 4);
	default:
		break;
	}
	enum err err = cell->length > PIECE ? go_alone(dump) : OK;
	if (err)
		return err;
	return cell->type == SQLITE_BLOB ? put_hex(dump, cell->bytes, cell->length, false) : put_text(dump, cell->bytes, cell->length);
}

/* ---- values that are put together afterwards ---- */

bool dump_is_long(const struct dump *dump, const struct content_cell *cell)
{
	int64_t limit = dump->request->value_bytes ? dump->request->value_bytes : DUMP_VALUE_BYTES;
	return (cell->type == SQLITE_TEXT || cell->type == SQLITE_BLOB) && (int64_t)cell->length > limit;
}

/* Can the row be found again by what is not long in it? */
static bool can_be_found(const struct dump *dump, const struct content_cell *cells)
{
	const struct source_table *table = dump->table;
	bool found = false;
	if (table->rowid)
		return true;
	for (int i = 0; i < table->column_count; i++) {
		if (table->columns[i].key && dump_is_long(dump, &cells[i]))
			return false;
		found |= table->columns[i].key;
	}
	return found && (table->without_rowid || table->has_rowid_column);
}

enum err dump_put_where(struct dump *dump, const struct content_cell *cells)
{
	const struct source_table *table = dump->table;
	const char *word = " WHERE ";
	if (table->rowid) {
		buf_printf(&dump->out, " WHERE %s = ", table->rowid);
		return dump_put_cell(dump, &cells[0]);
	}
	enum err err = OK;
	for (int i = 0; !err && i < table->column_count; i++) {
		if (!table->columns[i].key)
			continue;
		buf_append_text(&dump->out, word);
		literal_put_name(&dump->out, table->columns[i].name);
		buf_append_text(&dump->out, " IS ");
		err = dump_put_cell(dump, &cells[i]);
		word = " AND ";
	}
	return err;
}

/* UPDATE t SET c = CAST(c || X'…' AS BLOB) WHERE … for every piece; texts likewise. */
static enum err put_pieces(struct dump *dump, const struct content_cell *cells, int column)
{
	const struct content_cell *cell = &cells[column + (dump->table->rowid ? 1 : 0)];
	size_t limit = (size_t)(dump->request->value_bytes ? dump->request->value_bytes : DUMP_VALUE_BYTES) & ~(size_t)1;
	enum err err = OK;
	for (size_t at = 0; !err && at < cell->length; at += limit) {
		size_t n = cell->length - at < limit ? cell->length - at : limit;
		buf_append_text(&dump->out, "UPDATE ");
		literal_put_name(&dump->out, dump->table->name);
		buf_append_text(&dump->out, " SET ");
		literal_put_name(&dump->out, dump->table->columns[column].name);
		buf_append_text(&dump->out, cell->type == SQLITE_BLOB ? " = CAST(" : " = ");
		literal_put_name(&dump->out, dump->table->columns[column].name);
		buf_append_text(&dump->out, " || ");
		err = cell->type == SQLITE_BLOB ? put_hex(dump, cell->bytes + at, n, false) : put_cast(dump, cell->bytes + at, n);
		buf_append_text(&dump->out, cell->type == SQLITE_BLOB ? " AS BLOB)" : "");
		if (!err)
			err = dump_put_where(dump, cells);
		buf_append(&dump->out, ";\n", 2);
		if (!err)
			err = dump_drain(dump);
	}
	return err;
}

static enum err put_long_values(struct dump *dump, const struct content_cell *cells)
{
	const struct source_table *table = dump->table;
	int shift = table->rowid ? 1 : 0;
	enum err err = dump_end_statement(dump);
	for (int i = 0; !err && i < table->column_count; i++)
		if (!table->columns[i].generated && dump_is_long(dump, &cells[i + shift]))
			err = put_pieces(dump, cells, i);
	return err;
}

/* ---- rows ---- */

static enum err put_row(struct dump *dump, const struct content_cell *cells, int count, bool *ret_long)
{
	const struct source_table *table = dump->table;
	int shift = table->rowid ? 1 : 0;
	char before = '(';
	enum err err = OK;
	bool found = false, asked = false;
	for (int i = 0; !err && i < count; i++) {
		if (i >= shift && table->columns[i - shift].generated)
			continue;
		buf_append_char(&dump->out, before);
		before = ',';
		if (dump_is_long(dump, &cells[i])) {
			found = asked ? found : can_be_found(dump, cells);
			asked = true;
			if (!found && cells[i].length > SQL_MAX / 2)
				return backup_refuse(dump->failure, "value_too_large", table->name);
			*ret_long |= found;
		}
		if (found && dump_is_long(dump, &cells[i]))
			err = buf_append_text(&dump->out, cells[i].type == SQLITE_BLOB ? "X''" : "''");
		else
			err = dump_put_cell(dump, &cells[i]);
	}
	return err ? err : buf_append_char(&dump->out, ')');
}

enum err dump_row(void *context, const struct content_cell *cells, int count)
{
	struct dump *dump = context;
	bool has_long = false;
	if (dump->rows == 0) {
		dump->statement_at = dump->out.len;
		buf_append(&dump->out, dump->head, dump->head_length);
	} else {
		buf_append(&dump->out, ",\n", 2);
	}
	dump->row_at = dump->out.len;
	dump->alone = false;
	enum err err = put_row(dump, cells, count, &has_long);
	if (!err && !dump->alone && dump->rows && (dump->out.len - dump->statement_at > DUMP_STATEMENT_BYTES - 2 || has_long))
		err = split(dump);
	dump->rows++;
	if (err || dump->out.overflowed)
		return err ? err : ERR_TOO_LARGE;
	if (has_long)
		return put_long_values(dump, cells);
	return dump->rows == DUMP_STATEMENT_ROWS || dump->alone ? dump_end_statement(dump) : OK;
}
