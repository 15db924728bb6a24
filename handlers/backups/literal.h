/*
 * Values as SQL text that SQLite reads back bit for bit. Integers never pass through a double. A REAL always has a point or an exponent; its digits are
 * parsed as SQLite parses them and compared with the value before they are used, and where no digits do (3.40 misreads some
 * doubles below 1e-280) it is written as a product or quotient of powers of two.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_LITERAL_H
#define TIDEGATE_HANDLERS_BACKUPS_LITERAL_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LITERAL_INTEGER_MAX = 20, LITERAL_REAL_MAX = 480 };

/* How this SQLite parses numbers. */
struct literal_parser {
	sqlite3 *db;
	sqlite3_stmt *parse;
	bool known; /* its arithmetic is the one that literal.c repeats, which is tried at the start: no statement is needed for common numbers */
};

/* ERR_UNAVAILABLE: no memory. Close in either case. */
enum err literal_parser_open(struct literal_parser *parser) MUST_USE;
void literal_parser_close(struct literal_parser *parser);

/* Decimal text, not terminated; its length. */
size_t literal_integer(int64_t value, char out[LITERAL_INTEGER_MAX]);
size_t literal_real(struct literal_parser *parser, double value, char out[LITERAL_REAL_MAX]);

/* What a text needs: the flags of all its bytes. */
enum { LITERAL_QUOTE = 1, LITERAL_HIGH = 2, LITERAL_HIDDEN = 4 /* NUL or CR, which do not survive the sqlite3 shell */ };
unsigned literal_scan(const char *text, size_t n);

/* 'text' with its quotes doubled. flags: what literal_scan said. */
enum err literal_put_text(struct buf *out, const char *text, size_t n, unsigned flags);

/* 2n hex digits in upper case. */
enum err literal_put_hex(struct buf *out, const uint8_t *bytes, size_t n);

/* "name" with its quotes doubled. */
enum err literal_put_name(struct buf *out, const char *name);

#endif
