/*
 * `tidegate read FORMAT`: the child that parses one stranger's file. Standard input is the file (a regular file, read with
 * pread from its beginning), standard output a pipe of frames (frame.h); nothing else is open but the scratch file, if there
 * is one (sandbox.h), and nothing else can be. FORMAT is csv, xlsx or sqlite; options that mean nothing to it are passed over.
 *
 *   --mode inspect|rows      META and END only / also the rows
 *   --encoding NAME          csv: instead of detecting it (encoding.h)
 *   --delimiter C            csv: one character, or "tab"
 *   --sheet NAME             xlsx: instead of the first visible one with content
 *   --table NAME             sqlite: this one only
 *   --from-table N           sqlite: tables of a lower index in META are not sent (resume)
 *   --header-row N           row number of the header; 0: there is none
 *   --skip-rows N            rows up to this row number are parsed and not sent (resume); sqlite: of the first table sent
 *   --max-record N, --max-field N, --max-quoted-lines N, --max-columns N    bytes, bytes, lines, cells (csv.h)
 *   --max-memory N, --max-cpu N                                             bytes beyond the program itself, seconds
 *   --max-entries N, --max-part N, --max-unpacked N, --max-ratio N          xlsx: see struct archive_limits
 *   --strings-memory N       xlsx: bytes of shared strings that stay in memory
 *   --scratch N              descriptor 3 is the scratch file, of at most N bytes
 */
#ifndef TIDEGATE_READERS_READ_H
#define TIDEGATE_READERS_READ_H

#include "core/base/err.h"
#include "readers/frame.h"
#include "readers/header.h"

#include <stdint.h>

/* Exit status. 0 also for a file that cannot be read: then the last frame was FAIL. */
enum read_exit { READ_EXIT_OK = 0, READ_EXIT_USAGE = 64, READ_EXIT_MEMORY = 70, READ_EXIT_PIPE = 74 };

struct read_options {
	const char *mode;      /* "inspect" or "rows" */
	const char *encoding;  /* NULL: detect */
	const char *delimiter; /* NULL: detect */
	int64_t header_row;    /* HEADER_AUTO: detect */
	int64_t skip_rows;
	int64_t max_record, max_field, max_quoted_lines, max_columns;
	int64_t max_memory, max_cpu;
	const char *sheet; /* NULL: choose */
	const char *table; /* NULL: all */
	int64_t from_table;
	int64_t max_entries, max_part, max_unpacked, max_ratio;
	int64_t strings_memory;
	int64_t scratch; /* 0: there is none */
	int64_t file_size;
};

/* argv[0] is "read", argv[1] the format. Returns an exit status. */
int read_main(int argc, char **argv);

/* Runs inside the sandbox. Sends META … END or FAIL and returns OK, or ERR_IO (the parent is gone) or ERR_TOO_LARGE (memory is out). */
enum err csv_read(const struct read_options *options, struct frame_writer *writer) MUST_USE;
enum err xlsx_read(const struct read_options *options, struct frame_writer *writer) MUST_USE;
enum err sqlite_read(const struct read_options *options, struct frame_writer *writer) MUST_USE;

#endif
