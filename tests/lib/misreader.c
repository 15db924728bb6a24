/*
 * A reader that misbehaves: enters the sandbox like any reader, then does what its format argument says. test_sandbox and
 * test_reader start it through reader_start and look at the verdict. "csv", "xlsx" and "sqlite" run the real readers.
 * Arguments as reader_start makes them: NAME read MISDEED --mode MODE [--max-memory N] [--max-cpu N] …
 */
#include "core/base/arena.h"
#include "core/base/text.h"
#include "readers/frame.h"
#include "readers/read.h"
#include "readers/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAME_BACK = 99 };

static void say(const char *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(STDOUT_FILENO, bytes, n);
		if (written <= 0)
			_exit(READ_EXIT_PIPE);
		bytes += written;
		n -= (size_t)written;
	}
}

static void say_frame(enum frame_type type, const char *payload, size_t n)
{
	if (frame_send(STDOUT_FILENO, type, (struct str){payload, n}))
		_exit(READ_EXIT_PIPE);
}

static void say_meta(void)
{
	say_frame(FRAME_META, "{}", 2);
}

/* ---- what the sandbox forbids: each call, if it comes back at all, ends with exit status 99 ---- */

static void open_file(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void old_open(void)
{
	syscall(SYS_open, "/etc/passwd", O_RDONLY);
}

static void make_socket(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

static void make_child(void)
{
	if (fork() == 0)
		_exit(0);
}

static void execute(void)
{
	char name[] = "/bin/true";
	char *arguments[] = {name, NULL};
	execve(name, arguments, arguments + 1);
}

static void kill_parent(void)
{
	kill(getppid(), SIGKILL);
}

static void kill_parent_plainly(void)
{
	/* getppid is forbidden too: the parent's number comes from nowhere, 1 stands for it */
	syscall(SYS_kill, 1, SIGTERM);
}

static void map_code(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void trace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void map_input(void)
{
	(void)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
}

/* ---- what the limits end ---- */

static void allocate(void)
{
	struct arena arena;
	arena_init(&arena, SIZE_MAX / 2);
	for (;;) {
		char *bytes = arena_alloc(&arena, 1 << 20);
		if (!bytes)
			_exit(READ_EXIT_MEMORY);
		bytes[0] = 1;
	}
}

static void spin(void)
{
	for (volatile unsigned turns = 0;; turns++)
		;
}

static void be_silent(void)
{
	for (;;) {
		unsigned word = 0;
		syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
	}
}

/* As it would without sanitizers, which would first want to speak about it. */
__attribute__((no_sanitize("undefined", "address"))) static void crash(void)
{
	volatile int *volatile nowhere = NULL;
	/* cppcheck-suppress nullPointer ; the crash that is wanted */
	*nowhere = 1; /* NOLINT(clang-analyzer-core.NullDereference): the crash that is wanted */
}

static void give_up(void)
{
	abort();
}

/* ---- what is no protocol ---- */

static void say_garbage(void)
{
	for (int i = 0; i < 1000; i++)
		say("GET / HTTP/1.1\r\n", 16);
}

static void say_too_long(void)
{
	say("TGF1\x01\0\0\0\xff\xff\xff\x7f", FRAME_HEADER);
}

/* One row that says it has a cell of 4 GiB. */
static void lie_in_row(void)
{
	static const char rows[4 + 24 + 4] = {1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					      0, 0, 0, 0, 1, 0, 0, 0, '\xfe', '\xff', '\xff', '\xff'};
	say_meta();
	say_frame(FRAME_ROWS, rows, sizeof(rows));
}

static void lie_in_count(void)
{
	say_meta();
	say_frame(FRAME_ROWS, "\xff\xff\xff\xff", 4);
}

static void end_early(void)
{
	static const char end[40] = {7};
	say_meta();
	say_frame(FRAME_END, end, sizeof(end));
}

static void cut_frame(void)
{
	say("TGF1\x01\0\0\0\x10\0\0\0{}", FRAME_HEADER + 2);
}

static void rows_before_meta(void)
{
	say_frame(FRAME_ROWS, "\0\0\0\0", 4);
}

/* ---- tables that do not add up ---- */

#define TABLE_0 "\0\0\0\0\1\0\0\0"
#define TABLE_1 "\1\0\0\0\1\0\0\0"
#define ROW_OF_1 "\1\0\0\0\1\0\0\0" "\1\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\5"
#define ROW_OF_2 "\1\0\0\0\2\0\0\0" "\1\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\5\5"
#define END_OF(index, rows) index "\0\0\0" rows "\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"
#define SAY(type, payload) say_frame(type, payload, sizeof(payload) - 1)

static void say_one_table(const char *end, size_t n)
{
	say_meta();
	SAY(FRAME_TABLE, TABLE_0);
	SAY(FRAME_VALUES, ROW_OF_1);
	say_frame(FRAME_TABLE_END, end, n);
}

static void say_end(char rows)
{
	char end[40] = {rows};
	say_frame(FRAME_END, end, sizeof(end));
}

static void good_table(void)
{
	say_one_table(END_OF("\0", "\1"), 20);
	say_end(1);
}

static void table_counts_wrong(void)
{
	say_one_table(END_OF("\0", "\2"), 20);
}

static void table_end_of_another(void)
{
	say_one_table(END_OF("\1", "\1"), 20);
}

static void table_again(void)
{
	say_one_table(END_OF("\0", "\1"), 20);
	SAY(FRAME_TABLE, TABLE_0);
}

static void table_in_table(void)
{
	say_meta();
	SAY(FRAME_TABLE, TABLE_0);
	SAY(FRAME_TABLE, TABLE_1);
}

static void values_without_table(void)
{
	say_meta();
	SAY(FRAME_VALUES, ROW_OF_1);
}

static void values_after_table(void)
{
	say_one_table(END_OF("\0", "\1"), 20);
	SAY(FRAME_VALUES, ROW_OF_1);
}

static void values_of_other_width(void)
{
	say_meta();
	SAY(FRAME_TABLE, TABLE_0);
	SAY(FRAME_VALUES, ROW_OF_2);
}

static void end_in_table(void)
{
	say_meta();
	SAY(FRAME_TABLE, TABLE_0);
	SAY(FRAME_VALUES, ROW_OF_1);
	say_end(1);
}

static void tables_end_wrong(void)
{
	say_one_table(END_OF("\0", "\1"), 20);
	say_end(2);
}

static void rows_without_table(void)
{
	say_meta();
	say_frame(FRAME_ROWS, "\0\0\0\0", 4);
}

static void say_endlessly(void)
{
	say_meta();
	for (;;)
		say_frame(FRAME_NOTE, "\0\0\0\0\0\0\0\0again", 13);
}

/* A byte a time, so that there is always a little news. */
static void say_slowly(void)
{
	for (volatile unsigned turns = 0;; turns++) {
		if (turns % 50000000 == 0)
			say("T", 1);
	}
}

static void leave(void)
{
}

/* Leaves as "leave" does when nothing but 0, 1 and 2 can be read or written. */
static void try_descriptors(void)
{
	char byte = 0;
	for (int fd = 3; fd < 1024; fd++) {
		if (read(fd, &byte, 1) >= 0 || write(fd, &byte, 0) >= 0)
			_exit(CAME_BACK);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
	bool forbidden;
} misdeeds[] = {
	{"open_file", open_file, true},
	{"old_open", old_open, true},
	{"socket", make_socket, true},
	{"fork", make_child, true},
	{"exec", execute, true},
	{"kill_parent", kill_parent, true},
	{"kill", kill_parent_plainly, true},
	{"map_code", map_code, true},
	{"map_input", map_input, true},
	{"ptrace", trace, true},
	{"allocate", allocate, false},
	{"spin", spin, false},
	{"silent", be_silent, false},
	{"crash", crash, false},
	{"abort", give_up, false},
	{"garbage", say_garbage, false},
	{"too_long", say_too_long, false},
	{"lie_in_row", lie_in_row, false},
	{"lie_in_count", lie_in_count, false},
	{"end_early", end_early, false},
	{"cut_frame", cut_frame, false},
	{"rows_before_meta", rows_before_meta, false},
	{"good_table", good_table, false},
	{"table_counts_wrong", table_counts_wrong, false},
	{"table_end_of_another", table_end_of_another, false},
	{"table_again", table_again, false},
	{"table_in_table", table_in_table, false},
	{"values_without_table", values_without_table, false},
	{"values_after_table", values_after_table, false},
	{"values_of_other_width", values_of_other_width, false},
	{"end_in_table", end_in_table, false},
	{"tables_end_wrong", tables_end_wrong, false},
	{"rows_without_table", rows_without_table, false},
	{"endless", say_endlessly, false},
	{"slow", say_slowly, false},
	{"leave", leave, false},
	{"descriptors", try_descriptors, false},
};

int main(int argc, char **argv)
{
	struct sandbox_limits limits = {64 << 20, 60, 0};
	if (argc < 3)
		return READ_EXIT_USAGE;
	if (text_equal(argv[2], "csv") || text_equal(argv[2], "xlsx") || text_equal(argv[2], "sqlite"))
		return read_main(argc - 1, argv + 1);
	for (int i = 3; i + 1 < argc; i += 2) {
		int64_t *limit = text_equal(argv[i], "--max-memory") ? &limits.memory_bytes : text_equal(argv[i], "--max-cpu") ? &limits.cpu_seconds : NULL;
		if (limit && parse_i64(argv[i + 1], 1, INT64_MAX / 2, limit))
			return READ_EXIT_USAGE;
	}
	if (sandbox_enter(&limits))
		return READ_EXIT_USAGE;
	for (size_t i = 0; i < sizeof(misdeeds) / sizeof(misdeeds[0]); i++) {
		if (!text_equal(misdeeds[i].name, argv[2]))
			continue;
		misdeeds[i].run();
		_exit(misdeeds[i].forbidden ? CAME_BACK : READ_EXIT_OK);
	}
	_exit(READ_EXIT_USAGE);
}
