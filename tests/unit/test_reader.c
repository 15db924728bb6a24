/*
 * The parent's side: every way a child can go wrong ends in its own verdict, in time; and the real CSV reader, end to end:
 * encodings, refusals, resume, what META says. The child is tests/lib/misreader.c, built beside the test programs.
 */
#include "core/base/clock.h"
#include "core/base/json.h"
#include "readers/reader.h"
#include "readers/sandbox.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[4096];

static void find_program(void)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - sizeof("misreader"));
	while (n > 0 && program[n - 1] != '/')
		n--;
	if (n > 0)
		memcpy(program + n, "misreader", sizeof("misreader"));
}

/* ---- misdeeds ---- */

static const struct {
	const char *misdeed;
	const char *code;
	int64_t wait_ms, cpu_seconds, memory_bytes, output_bytes;
	bool not_under_asan;
} misdeeds[] = {
	{"leave", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"garbage", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"too_long", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"lie_in_row", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"lie_in_count", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"end_early", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"cut_frame", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"rows_before_meta", "reader_protocol_error", 5000, 0, 0, 0, false},
	{"open_file", "reader_killed_by_sandbox", 5000, 0, 0, 0, false},
	{"crash", "reader_crashed", 5000, 0, 0, 0, true},
	{"no_such_misdeed", "reader_crashed", 5000, 0, 0, 0, false},
	{"allocate", "reader_out_of_memory", 5000, 0, 32 << 20, 0, true},
	{"spin", "reader_cpu_limit", 10000, 1, 0, 0, false},
	{"spin", "reader_timeout", 300, 0, 0, 0, false},
	{"silent", "reader_timeout", 300, 0, 0, 0, false},
	{"slow", "reader_timeout", 500, 0, 0, 0, false},
	{"endless", "reader_output_limit", 5000, 0, 0, 4 << 20, false},
	{"endless", "reader_cpu_limit", 30000, 1, 0, 0, false},
};

static void test_misdeeds(struct arena *arena)
{
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(misdeeds) / sizeof(misdeeds[0]); i++) {
		struct reader_options options = {.program = program, .argv0 = "tidegate", .format = misdeeds[i].misdeed, .mode = "rows", .input = input,
						 .wait_ms = misdeeds[i].wait_ms, .cpu_seconds = misdeeds[i].cpu_seconds,
						 .memory_bytes = misdeeds[i].memory_bytes, .output_bytes = misdeeds[i].output_bytes};
		struct reader reader;
		struct frame frame;
		char name[100];
		if (misdeeds[i].not_under_asan && SANDBOX_ADDRESS_SANITIZER)
			continue;
		arena_reset(arena);
		snprintf(name, sizeof(name), "%s: %s", misdeeds[i].misdeed, misdeeds[i].code);
		if (reader_start(&reader, arena, &options)) {
			ok(false, "%s: start", name);
			continue;
		}
		pid_t child = reader.child;
		while (reader_next(&reader, &frame) == READER_FRAME)
			;
		is_text(reader_finish(&reader).code, misdeeds[i].code, name);
		ok(kill(child, 0) != 0, "%s: nothing is left behind", name);
	}
	close(input);
}

/* A parent that wants tables takes them and nothing else, and only when they add up; one that wants rows takes no table. */
static void test_tables(struct arena *arena)
{
	static const struct {
		const char *deed, *code;
		bool wants_tables;
	} rows[] = {
		{"good_table", "ok", true},
		{"good_table", "reader_protocol_error", false},
		{"table_counts_wrong", "reader_protocol_error", true},
		{"table_end_of_another", "reader_protocol_error", true},
		{"table_again", "reader_protocol_error", true},
		{"table_in_table", "reader_protocol_error", true},
		{"values_without_table", "reader_protocol_error", true},
		{"values_after_table", "reader_protocol_error", true},
		{"values_of_other_width", "reader_protocol_error", true},
		{"end_in_table", "reader_protocol_error", true},
		{"tables_end_wrong", "reader_protocol_error", true},
		{"rows_without_table", "reader_protocol_error", true},
	};
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reader_options options = {.program = program, .argv0 = "tidegate", .format = rows[i].deed, .mode = "rows", .input = input, .wait_ms = 5000, .tables = rows[i].wants_tables};
		struct reader reader;
		struct frame frame;
		arena_reset(arena);
		if (reader_start(&reader, arena, &options)) {
			ok(false, "%s: start", rows[i].deed);
			continue;
		}
		while (reader_next(&reader, &frame) == READER_FRAME)
			;
		is_text(reader_finish(&reader).code, rows[i].code, rows[i].deed);
	}
	close(input);
}

static void test_stop_and_start(struct arena *arena)
{
	struct reader reader;
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct reader_options options = {.program = program, .argv0 = "tidegate", .format = "silent", .mode = "rows", .input = input, .wait_ms = 60000};
	if (reader_start(&reader, arena, &options) == OK)
		is_text(reader_finish(&reader).code, "reader_stopped", "a reader can be stopped at any time");
	options.program = "/nowhere/tidegate";
	struct frame frame;
	if (reader_start(&reader, arena, &options) == OK && reader_next(&reader, &frame) == READER_OVER)
		is_text(reader_finish(&reader).code, "reader_crashed", "a program that is not there");
	is_text(reader_verdict_code(READER_VERDICT_COUNT), "reader_protocol_error", "no verdict is without code");
	close(input);
}

/* A parent in between starts a silent reader and dies: the reader dies too. This process adopts it and sees it end. */
static void test_parent_dies(struct arena *arena)
{
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC), status = 0;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t between = fork();
	if (between == 0) {
		struct reader reader;
		struct reader_options options = {.program = program, .argv0 = "tidegate", .format = "silent", .mode = "rows", .input = input, .wait_ms = 60000};
		bool started = reader_start(&reader, arena, &options) == OK;
		clock_sleep_ms(100);
		_exit(started ? 0 : 1);
	}
	waitpid(between, &status, 0);
	pid_t orphan = 0;
	for (int tries = 0; tries < 300 && orphan == 0; tries++) {
		clock_sleep_ms(10);
		orphan = waitpid(-1, &status, WNOHANG);
	}
	ok(orphan > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a reader dies with its parent");
	close(input);
}

/* ---- the real reader ---- */

static int file_of(struct str bytes)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	for (size_t done = 0; fd >= 0 && done < bytes.n;) {
		ssize_t n = write(fd, bytes.p + done, bytes.n - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return fd;
}

/* Rows as "number[flags]:cell|cell" lines, notes as "! row code"; META kept apart. */
static struct reader_result read_file(struct arena *arena, int input, const char *mode, const char *const *extra, struct buf *rows, struct buf *meta)
{
	struct reader_options options = {.program = program, .argv0 = "tidegate", .format = "csv", .mode = mode, .input = input, .extra = extra, .wait_ms = 20000};
	struct reader reader;
	struct frame frame;
	struct frame_cursor cursor;
	struct frame_row row;
	arena_reset(arena);
	buf_clear(rows);
	buf_clear(meta);
	if (reader_start(&reader, arena, &options))
		return (struct reader_result){.verdict = READER_VERDICT_COUNT};
	while (reader_next(&reader, &frame) == READER_FRAME) {
		if (frame.type == FRAME_META)
			buf_append(meta, frame.payload.p, frame.payload.n);
		if (frame.type == FRAME_NOTE)
			buf_printf(rows, "! %llu %.*s\n", (unsigned long long)frame_note_read(&frame).row, (int)frame_note_read(&frame).code.n, frame_note_read(&frame).code.p);
		if (frame.type != FRAME_ROWS)
			continue;
		reader_rows(&reader, &frame, &cursor);
		while (frame_row_next(&cursor, &row)) {
			buf_printf(rows, "%llu[%u]:", (unsigned long long)row.number, row.flags);
			for (uint32_t i = 0; i < row.cell_count; i++)
				buf_printf(rows, "%s%.*s", i ? "|" : "", (int)row.cells[i].n, row.cells[i].p);
			buf_append_char(rows, '\n');
		}
	}
	return reader_finish(&reader);
}

#define BYTES(literal) {literal, sizeof(literal) - 1}
#define EXTRA(...) (const char *const[]){__VA_ARGS__, NULL}

static const struct {
	const char *name;
	struct str file;
	const char *code, *rows;
	const char *const *extra;
} files[] = {
	{"UTF-8 with BOM", BYTES("\xef\xbb\xbfnom;ville\r\nAndr\xc3\xa9;Lyon\r\n"), "ok", "2[0]:André|Lyon\n", NULL},
	{"Windows-1252", BYTES("pr\xe9nom;prix\r\nAndr\xe9;5 \x80\r\nAnn;\x81\r\n"), "ok", "2[0]:André|5 €\n3[4]:Ann|\xef\xbf\xbd\n", NULL},
	{"MacRoman", BYTES("pr\x8enom;nom\rAndr\x8e;Fran\x8dois\r"), "ok", "2[0]:André|François\n", NULL},
	{"UTF-16LE, tabs", BYTES("\xff\xfen\0\t\0v\0\r\0\n\0\xe9\0\t\0b\0\r\0\n\0"), "ok", "2[0]:é|b\n", NULL},
	{"UTF-16BE without BOM", BYTES("\0n\0;\0v\0\n\0\xe9\0;\0b\0\n"), "ok", "2[0]:é|b\n", NULL},
	{"UTF-16 with a lone surrogate", BYTES("\xff\xfen\0;\0v\0\n\0\x3d\xd8;\0b\0\n\0"), "ok", "2[4]:\xef\xbf\xbd|b\n", NULL},
	{"mixed encodings", BYTES("nom;ville\nAndr\xc3\xa9;Orl\xc3\xa9" "ans\nRen\xe9;Angoul\xc3\xaame\n"), "ok", "2[0]:André|Orléans\n3[8]:René|Angoulême\n", NULL},
	{"sep= line is not counted", BYTES("sep=;\r\na;b\r\n1;2\r\n"), "ok", "2[0]:1|2\n", NULL},
	{"sep= line in UTF-16", BYTES("\xff\xfes\0e\0p\0=\0;\0\n\0a\0;\0b\0\n\0" "1\0;\0" "2\0\n\0"), "ok", "2[0]:1|2\n", NULL},
	{"no header", BYTES("a@b.fr;0612345678\nb@c.fr;0612345679\n"), "ok", "1[0]:a@b.fr|0612345678\n2[0]:b@c.fr|0612345679\n", NULL},
	{"flags", BYTES("a,b\n1\n1,2,3\n1,2,\n\n\0x,y\n3,4\n"), "ok", "2[1]:1\n3[2]:1|2|3\n4[0]:1|2\n6[16]:x|y\n7[0]:3|4\n", NULL},
	{"unclosed quote", BYTES("a,b\n1,\"x\n2,y\n"), "ok", "! 2 unclosed_quote\n2[64]:1|\"x\n3[0]:2|y\n", NULL},
	{"resume", BYTES("a,b\n1,1\n2,2\n3,3\n"), "ok", "4[0]:3|3\n", EXTRA("--skip-rows", "3")},
	{"wished header and delimiter", BYTES("t\na,b;c\n1,2;3\n"), "ok", "3[0]:1,2|3\n", EXTRA("--header-row", "2", "--delimiter", ";")},
	{"wished encoding", BYTES("nom;x\nAndr\x8e;1\n"), "ok", "2[0]:André|1\n", EXTRA("--encoding", "macintosh")},
	{"wished tab", BYTES("a\tb,c\n1\t2,3\n"), "ok", "2[0]:1|2,3\n", EXTRA("--delimiter", "tab")},
	{"empty file", BYTES(""), "empty_file", "", NULL},
	{"byte order mark alone", BYTES("\xef\xbb\xbf"), "empty_file", "", NULL},
	{"zip", BYTES("PK\x03\x04 zip"), "looks_like_xlsx", "", NULL},
	{"old Excel", BYTES("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 xls"), "looks_like_xls", "", NULL},
	{"PDF", BYTES("%PDF-1.4\n%\xe2\xe3"), "not_a_text_file", "", NULL},
	{"control bytes", BYTES("\x01\x02\x03\x04\x05\x06\x07\x08"), "not_a_text_file", "", NULL},
	{"too many columns", BYTES("a,b\n1,2,3\n"), "too_many_columns", "", EXTRA("--max-columns", "2")},
	{"unknown encoding", BYTES("a\n"), "unknown_encoding", "", EXTRA("--encoding", "ebcdic")},
	{"bad delimiter", BYTES("a\n"), "bad_delimiter", "", EXTRA("--delimiter", "ab")},
	{"bad option", BYTES("a\n"), "reader_crashed", "", EXTRA("--header-row", "-5")},
};

static void test_files(struct arena *arena, struct buf *rows, struct buf *meta)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int input = file_of(files[i].file);
		struct reader_result result = read_file(arena, input, "rows", files[i].extra, rows, meta);
		is_text(result.code, files[i].code, files[i].name);
		is_text(buf_text(rows), files[i].rows, files[i].name);
		if (result.verdict == READER_OK)
			is_i64((int64_t)result.end.bytes, (int64_t)files[i].file.n, "the whole file was read");
		close(input);
	}
}

static void test_meta(struct arena *arena, struct buf *rows, struct buf *meta)
{
	int input = file_of(STR("sep=;\nTitre\n\nnom;pr\xe9nom;tel\nA;\xc9ric;0612345678\nB;Zo\xeb;0612345679\n"));
	struct reader_result result = read_file(arena, input, "inspect", NULL, rows, meta);
	is_text(result.code, "ok", "inspect");
	is_text(buf_text(meta),
		"{\"format\":\"csv\",\"encoding\":\"windows-1252\",\"bom\":false,\"delimiter\":\";\",\"quote\":\"\\\"\",\"backslash\":false,\"sepLine\":true,"
		"\"hasHeader\":true,\"headerRow\":3,\"columns\":3,\"header\":[\"nom\",\"prénom\",\"tel\"],\"sample\":[{\"row\":4,\"cells\":[\"A\",\"Éric\","
		"\"0612345678\"]},{\"row\":5,\"cells\":[\"B\",\"Zoë\",\"0612345679\"]}],\"estimatedRows\":2,\"exact\":true,\"fileSize\":63}",
		"what META says");
	ok(rows->len == 0, "inspect sends no rows");
	close(input);
}

/* A file larger than the sample; the child stays small, the estimate comes close, every row arrives. */
static void test_large(struct arena *arena, struct buf *rows, struct buf *meta)
{
	enum { ROWS = 100000 };
	struct buf file;
	json_t *json = NULL;
	buf_init(&file, 16 << 20);
	buf_append_text(&file, "id;nom;note\n");
	for (int i = 0; i < ROWS; i++)
		buf_printf(&file, "%d;\xc3\xa9l\xc3\xa8ve %d;\"a;\"\"b\"\"\"\n", i, i % 100);
	int input = file_of((struct str){file.data, file.len});
	struct reader_result result = read_file(arena, input, "rows", NULL, rows, meta);
	is_text(result.code, "ok", "a large file");
	is_i64((int64_t)result.end.rows, ROWS, "all rows");
	is_i64((int64_t)result.end.records, ROWS + 1, "all records");
	is_i64((int64_t)result.end.bytes, (int64_t)file.len, "all bytes");
	ok(memmem(rows->data, rows->len, "100001[0]:99999|élève 99|a;\"b\"\n", 31) != NULL, "the last row");
	const char *why = NULL;
	bool parsed = json_parse(arena, meta->data, meta->len, &json, &why) == OK;
	int64_t estimate = parsed ? json_integer_value(json_object_get(json, "estimatedRows")) : 0;
	ok(estimate > ROWS * 9 / 10 && estimate < ROWS * 11 / 10, "the estimate comes close (%lld)", (long long)estimate);
	close(input);
	buf_release(&file);
}

/* 4096 long headings and rows of long cells: META still fits its frame. */
static void test_wide(struct arena *arena, struct buf *rows, struct buf *meta)
{
	struct buf file;
	buf_init(&file, 16 << 20);
	for (int row = 0; row < 3; row++) {
		for (int column = 0; column < 4096; column++)
			buf_printf(&file, "%scolumn \\\\ %d \"with\" a long \x01 name that goes on", column ? ";" : "", column + row);
		buf_append_char(&file, '\n');
	}
	int input = file_of((struct str){file.data, file.len});
	struct reader_result result = read_file(arena, input, "rows", NULL, rows, meta);
	is_text(result.code, "ok", "4096 columns of long names");
	is_i64((int64_t)result.end.rows, 2, "its rows");
	close(input);
	buf_release(&file);
}

int main(void)
{
	struct arena arena;
	struct buf rows, meta;
	arena_init(&arena, 8 << 20);
	buf_init(&rows, 32 << 20);
	buf_init(&meta, 2 << 20);
	find_program();
	test_files(&arena, &rows, &meta);
	test_meta(&arena, &rows, &meta);
	test_large(&arena, &rows, &meta);
	test_wide(&arena, &rows, &meta);
	test_stop_and_start(&arena);
	test_tables(&arena);
	test_misdeeds(&arena);
	test_parent_dies(&arena);
	buf_release(&meta);
	buf_release(&rows);
	arena_release(&arena);
	return tap_done();
}
