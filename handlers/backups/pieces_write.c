/*
 * Writes what was planned of a dump. Called by downloads. Must never take a semicolon or a quote that stands in a value for one of the statement.
 */
#include "handlers/backups/pieces.h"

#include "core/base/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 17 };

static const char values[] = ") VALUES\n";

/* Rows on their way to D1, statement by statement. */
struct statements {
	struct sink to;
	const char *head;   /* see struct piece */
	char quote;         /* the one that is open */
	bool comment;       /* a line that begins with -- */
	bool begun;         /* within a statement */
	bool passing;       /* its head has been dealt with */
	bool too_long;
	size_t length;
	struct buf start;   /* of the statement, until its head has ended */
};

/* With a head of its own the start is held back until it can be replaced; a statement without VALUES (that empties the shadow table) is left out. */
static enum err put_start(struct statements *s, const char *from, size_t n, bool ends)
{
	if (buf_append(&s->start, from, n))
		return ERR_TOO_LARGE;
	const char *at = memmem(s->start.data, s->start.len, values, sizeof(values) - 1);
	if (!at) {
		if (ends)
			buf_clear(&s->start);
		return OK;
	}
	at += sizeof(values) - 1;
	enum err err = sink_put(&s->to, s->head, strlen(s->head));
	if (!err)
		err = sink_put(&s->to, at, s->start.len - (size_t)(at - s->start.data));
	s->passing = true;
	buf_clear(&s->start);
	return err;
}

static enum err pass(struct statements *s, const char *from, size_t n, bool ends)
{
	s->length += n;
	s->too_long = s->length > PIECES_D1_STATEMENT;
	if (s->too_long)
		return ERR_TOO_LARGE;
	enum err err = s->head && !s->passing ? put_start(s, from, n, ends) : sink_put(&s->to, from, n);
	if (ends) {
		s->begun = s->passing = false;
		s->length = 0;
	}
	return err;
}

/* How many of the bytes belong together, and whether a statement ends with them. */
static size_t take(struct statements *s, const char *from, size_t n, bool *ret_ends)
{
	*ret_ends = false;
	if (s->quote) {
		const char *end = memchr(from, s->quote, n);
		if (end)
			s->quote = 0;
		return end ? (size_t)(end - from) + 1 : n;
	}
	for (size_t i = 0; i < n; i++) {
		if (from[i] != '\'' && from[i] != '"' && from[i] != ';')
			continue;
		if (from[i] == ';')
			*ret_ends = true;
		else
			s->quote = from[i];
		return i + 1;
	}
	return n;
}

static enum err statements_put(void *context, const void *bytes, size_t n)
{
	struct statements *s = context;
	const char *from = bytes;
	enum err err = OK;
	while (!err && n) {
		size_t taken = 1;
		bool ends = false;
		if (s->comment) {
			const char *end = memchr(from, '\n', n);
			taken = end ? (size_t)(end - from) + 1 : n;
			s->comment = !end;
		} else if (!s->begun && *from == '-') {
			s->comment = true;
		} else if (!s->begun && *from == '\n') {
			err = sink_put(&s->to, "\n", 1);
		} else {
			s->begun = true;
			taken = take(s, from, n, &ends);
			err = pass(s, from, taken, ends);
		}
		from += taken;
		n -= taken;
	}
	return err;
}

static enum err copy_place(int plain, const struct source_place *place, struct sink to)
{
	char piece[PIECE_BYTES];
	int64_t at = place->offset, left = place->length;
	while (left) {
		ssize_t n = pread(plain, piece, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? ERR_IO : ERR_INVALID;
		enum err err = sink_put(&to, piece, (size_t)n);
		if (err)
			return err;
		at += n;
		left -= n;
	}
	return OK;
}

static enum err write_rows(struct pieces *pieces, const struct piece *piece, int plain, struct sink to)
{
	struct statements statements = {.to = to, .head = piece->head};
	buf_init(&statements.start, PIECES_D1_STATEMENT + 1024);
	enum err err = copy_place(plain, &piece->place, (struct sink){statements_put, &statements});
	if (statements.too_long)
		pieces->too_long = piece->table;
	buf_release(&statements.start);
	return err;
}

enum err pieces_write(struct pieces *pieces, int plain, struct sink to)
{
	enum err err = OK;
	for (size_t i = 0; !err && i < pieces->count; i++) {
		const struct piece *piece = &pieces->list[i];
		if (piece->text)
			err = sink_put(&to, piece->text, strlen(piece->text));
		else if (pieces->d1 && piece->table)
			err = write_rows(pieces, piece, plain, to);
		else
			err = copy_place(plain, &piece->place, to);
	}
	return err;
}
