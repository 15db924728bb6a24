/*
 * What is looked at before SQLite is: containers, every field of the header; the text of UTF-16 databases; the view of the file
 * that the library gets.
 */
#include "readers/sqlite_failures.h"
#include "readers/sqlite_file.h"
#include "readers/sqlite_header.h"
#include "readers/sqlite_text.h"
#include "tests/unit/tap.h"

#include <sqlite3.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 3, FILE_BYTES = PAGE * PAGES };

/* A header as SQLite 3.40 writes it: 4096-byte pages, three of them. */
static void make_header(char header[SQLITE_HEADER])
{
	static const struct {
		size_t at;
		unsigned char byte;
	} bytes[] = {{16, 0x10}, {18, 1}, {19, 1}, {21, 64}, {22, 32}, {23, 32}, {27, 5}, {31, PAGES}, {47, 4}, {59, 1}, {63, 8}, {95, 5}, {97, 0x2e}, {98, 0x5f}, {99, 0x19}};
	memset(header, 0, SQLITE_HEADER);
	memcpy(header, "SQLite format 3", 16);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		header[bytes[i].at] = (char)bytes[i].byte;
}

#define SET(...) (const unsigned char[]){__VA_ARGS__}

static const struct {
	const char *name;
	size_t at, n;
	const unsigned char *bytes;
	int64_t size;
	const char *code; /* NULL: accepted */
} headers[] = {
	{"a good one", 0, 0, NULL, FILE_BYTES, NULL},
	{"pages of 512", 16, 2, SET(2, 0), 512LL * PAGES, NULL},
	{"pages of 65536", 16, 2, SET(0, 1), 65536LL * PAGES, NULL},
	{"pages of 256", 16, 2, SET(1, 0), 256LL * PAGES, "sqlite_damaged"},
	{"pages of 0", 16, 2, SET(0, 0), FILE_BYTES, "sqlite_damaged"},
	{"pages of 2", 16, 2, SET(0, 2), FILE_BYTES, "sqlite_damaged"},
	{"pages of 4095", 16, 2, SET(15, 255), 4095LL * PAGES, "sqlite_damaged"},
	{"write-ahead mode", 18, 2, SET(2, 2), FILE_BYTES, NULL},
	{"a newer write version", 18, 1, SET(3), FILE_BYTES, "sqlite_too_new"},
	{"a newer read version", 19, 1, SET(3), FILE_BYTES, "sqlite_too_new"},
	{"read version 0", 19, 1, SET(0), FILE_BYTES, "sqlite_damaged"},
	{"reserved room", 20, 1, SET(32), FILE_BYTES, NULL},
	{"reserved room that leaves too little of 512", 16, 5, SET(2, 0, 1, 1, 33), 512LL * PAGES, "sqlite_damaged"},
	{"another maximum fraction", 21, 1, SET(65), FILE_BYTES, "sqlite_damaged"},
	{"another minimum fraction", 22, 1, SET(31), FILE_BYTES, "sqlite_damaged"},
	{"another leaf fraction", 23, 1, SET(33), FILE_BYTES, "sqlite_damaged"},
	{"more pages than bytes", 31, 1, SET(PAGES + 1), FILE_BYTES, "sqlite_truncated"},
	{"fewer pages than bytes", 31, 1, SET(PAGES - 1), FILE_BYTES, "sqlite_damaged"},
	{"a number of pages that does not count", 24, 8, SET(0, 0, 0, 9, 0, 0, 0, 1), FILE_BYTES, NULL},
	{"no number of pages", 28, 4, SET(0, 0, 0, 0), FILE_BYTES, NULL},
	{"half a page too little", 0, 0, NULL, FILE_BYTES - PAGE / 2, "sqlite_truncated"},
	{"half a page too much", 0, 0, NULL, FILE_BYTES + PAGE / 2, "sqlite_damaged"},
	{"less than a page", 0, 0, NULL, 100, "sqlite_truncated"},
	{"less than a header", 0, 0, NULL, 99, "sqlite_truncated"},
	{"schema format 5", 47, 1, SET(5), FILE_BYTES, "sqlite_too_new"},
	{"schema format 0 with an encoding", 47, 1, SET(0), FILE_BYTES, "sqlite_damaged"},
	{"encoding 0 with a schema format", 59, 1, SET(0), FILE_BYTES, "sqlite_damaged"},
	{"neither: no table ever", 44, 16, SET(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), FILE_BYTES, NULL},
	{"encoding 3", 59, 1, SET(3), FILE_BYTES, NULL},
	{"encoding 4", 59, 1, SET(4), FILE_BYTES, "sqlite_damaged"},
	{"another magic", 0, 1, SET('s'), FILE_BYTES, "not_a_sqlite_file"},
};

static void test_headers(void)
{
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		char bytes[SQLITE_HEADER];
		struct sqlite_header header = {0};
		struct refusal refusal = {NULL};
		make_header(bytes);
		if (headers[i].n)
			memcpy(bytes + headers[i].at, headers[i].bytes, headers[i].n);
		enum err err = sqlite_header_read((struct str){bytes, sizeof(bytes)}, headers[i].size, &header, &refusal);
		is_text(refusal.code, headers[i].code, headers[i].name);
		ok((err == OK) == (headers[i].code == NULL) && (err == OK) == (header.pages == PAGES), "%s: the result agrees", headers[i].name);
	}
	char bytes[SQLITE_HEADER];
	struct sqlite_header header = {0};
	struct refusal refusal = {NULL};
	make_header(bytes);
	ok(sqlite_header_read((struct str){bytes, sizeof(bytes) - 1}, FILE_BYTES, &header, &refusal) == ERR_INVALID, "a header of 99 bytes is never looked at");
	refusal.code = NULL;
	ok(sqlite_header_read((struct str){bytes, sizeof(bytes)}, FILE_BYTES, &header, &refusal) == OK && header.user_version == 8 && header.library == 3039001 && header.page_size == PAGE &&
		   header.encoding == SQLITE_TEXT_UTF8 && header.schema_format == 4 && !header.wal && !header.auto_vacuum, "what it says");
}

/* ---- containers ---- */

static void test_containers(void)
{
	static char start[SQLITE_PLIST_OFFSET + SQLITE_HEADER];
	static const struct {
		const char *name, *first;
		size_t at; /* of the magic; 0 with first NULL: at the beginning */
		size_t n;
		int64_t size;
		const char *code;
	} rows[] = {
		{"plain", NULL, 0, sizeof(start), FILE_BYTES, NULL},
		{"nothing", NULL, 0, 0, 0, "empty_file"},
		{"a cut magic", NULL, 0, 10, 10, "sqlite_truncated"},
		{"a property list", "<?xml version='1.0'?><plist/>", SQLITE_PLIST_OFFSET, sizeof(start), FILE_BYTES, NULL},
		{"a property list alone", "<?xml version='1.0'?><plist/>", 0, SQLITE_PLIST_OFFSET, SQLITE_PLIST_OFFSET, "sqlite_truncated"},
		{"XML alone", "<?xml version='1.0'?><a/>", 0, 100, 100, "not_a_sqlite_file"},
		{"a database at 4095", "<?xml version='1.0'?><plist/>", SQLITE_PLIST_OFFSET - 1, sizeof(start), FILE_BYTES, "not_a_sqlite_file"},
		{"a database at 512", "<?xml version='1.0'?><plist/>", 512, sizeof(start), FILE_BYTES, "not_a_sqlite_file"},
		{"a database at 4096 behind something else", "<xml>", SQLITE_PLIST_OFFSET, sizeof(start), FILE_BYTES, "not_a_sqlite_file"},
		{"text", "Once upon a time", 0, sizeof(start), FILE_BYTES, "not_a_sqlite_file"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum sqlite_container container = SQLITE_PLAIN;
		struct refusal refusal = {NULL};
		memset(start, 0, sizeof(start));
		if (rows[i].first)
			memcpy(start, rows[i].first, strlen(rows[i].first));
		if (rows[i].at || !rows[i].first)
			memcpy(start + rows[i].at, "SQLite format 3", 16);
		enum err err = sqlite_container_find((struct str){start, rows[i].n}, rows[i].size, &container, &refusal);
		is_text(refusal.code, rows[i].code, rows[i].name);
		ok((err == OK) == (rows[i].code == NULL) && (container == SQLITE_PLIST) == (i == 3), "%s: which one", rows[i].name);
	}
	unsigned state = 1;
	struct refusal refusal = {NULL};
	enum sqlite_container container = SQLITE_PLAIN;
	for (size_t i = 0; i < sizeof(start); i++, state = state * 1103515245u + 12345)
		start[i] = (char)(state >> 16);
	ok(sqlite_container_find((struct str){start, sizeof(start)}, FILE_BYTES, &container, &refusal) == ERR_INVALID && text_equal(refusal.code, "sqlite_encrypted"), "pages without any pattern");
}

/* ---- text ---- */

static void test_text(void)
{
	static const struct {
		const char *name;
		struct str little;
		const char *utf8; /* NULL: there is none */
	} rows[] = {
		{"nothing", {"", 0}, ""},
		{"ASCII", {"a\0b\0", 4}, "ab"},
		{"two and three bytes", {"\xe9\0\xac\x20", 4}, "é€"},
		{"a pair", {"\x3d\xd8\x00\xde", 4}, "😀"},
		{"the last code point", {"\xff\xdb\xff\xdf", 4}, "\xf4\x8f\xbf\xbf"},
		{"an odd byte", {"a\0b", 3}, NULL},
		{"a high half at the end", {"a\0\x3d\xd8", 4}, NULL},
		{"a high half before another", {"\x3d\xd8\x3d\xd8", 4}, NULL},
		{"a high half before a letter", {"\x3d\xd8" "a\0", 4}, NULL},
		{"a low half alone", {"\x00\xde", 2}, NULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char swapped[16], out[32];
		size_t n = 0;
		for (size_t j = 0; j < rows[i].little.n; j++)
			swapped[j] = rows[i].little.p[(j ^ 1) < rows[i].little.n ? j ^ 1 : j];
		for (int big = 0; big < 2; big++) {
			struct str from = big ? (struct str){swapped, rows[i].little.n} : rows[i].little;
			bool converted = sqlite_text_convert(from, big, out, &n);
			ok(converted == (rows[i].utf8 != NULL) && (!converted || str_equal_text((struct str){out, n}, rows[i].utf8)), "%s, %s-endian", rows[i].name, big ? "big" : "little");
		}
	}
}

/* ---- the file under the library ---- */

static void test_file(void)
{
	char bytes[8] = "", head[] = "0123456789abcdef";
	int fd = memfd_create("input", MFD_CLOEXEC), out = 1;
	ok(fd >= 0 && write(fd, head, 16) == 16 && sqlite_file_use(fd, 6, 10) == OK, "a file from its offset on");
	ok(sqlite_file_read(bytes, 4, 0) && memcmp(bytes, "6789", 4) == 0, "its first bytes");
	ok(!sqlite_file_read(bytes, 4, 7) && !sqlite_file_read(bytes, 1, 10) && !sqlite_file_read(bytes, 1, -1), "nothing past its ends");
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	if (!ok(vfs && text_equal(vfs->zName, SQLITE_FILE_VFS), "there is no other file system for the library to use by itself") || !vfs)
		return;
	sqlite3_file file;
	ok(vfs->xOpen(vfs, "x-journal", &file, SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_READONLY, &out) == SQLITE_CANTOPEN, "no journal");
	ok(vfs->xOpen(vfs, NULL, &file, SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_READWRITE, &out) == SQLITE_CANTOPEN, "no temporary file");
	ok(vfs->xOpen(vfs, "x", &file, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE, &out) == SQLITE_CANTOPEN, "no writing");
	ok(vfs->xAccess(vfs, "x-wal", SQLITE_ACCESS_EXISTS, &out) == SQLITE_OK && out == 0 && vfs->xDelete(vfs, "x", 0) != SQLITE_OK, "nothing beside it, nothing to delete");
	ok(vfs->xOpen(vfs, "x", &file, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READONLY, &out) == SQLITE_OK, "the file");
	ok(file.pMethods->xDeviceCharacteristics(&file) == SQLITE_IOCAP_IMMUTABLE && file.pMethods->xWrite(&file, "x", 1, 0) == SQLITE_READONLY && file.pMethods->xTruncate(&file, 0) == SQLITE_READONLY,
	   "which nothing changes");
	ok(file.pMethods->xRead(&file, bytes, 8, 6) == SQLITE_IOERR_SHORT_READ && memcmp(bytes, "cdef\0\0\0\0", 8) == 0, "a read past its end is filled with zeros");
	close(fd);
}

int main(void)
{
	test_headers();
	test_containers();
	test_text();
	test_file();
	ok(sqlite_failure_find("sqlite_damaged") && *sqlite_failure_find("sqlite_damaged")->text[1] && !sqlite_failure_find("no_such_code"), "codes have sentences");
	return tap_done();
}
