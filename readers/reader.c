/*
 * Parent of a reader child: process, pipe, deadline, checks, verdict. Called by the import jobs and by `tidegate import`.
 * Must never believe the child, wait for it longer than agreed, or leave it behind.
 */
#include "readers/reader.h"

#include "core/base/clock.h"
#include "readers/read.h"
#include "readers/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32
#define PIPE_BYTES (1 << 20)

enum { CHILD_NOT_EXECUTED = 127 };

static const char *const verdict_codes[READER_VERDICT_COUNT] = {
	[READER_OK] = "ok",
	[READER_REFUSED] = "reader_refused",
	[READER_CRASHED] = "reader_crashed",
	[READER_KILLED_BY_SANDBOX] = "reader_killed_by_sandbox",
	[READER_OUT_OF_MEMORY] = "reader_out_of_memory",
	[READER_TIMEOUT] = "reader_timeout",
	[READER_CPU_LIMIT] = "reader_cpu_limit",
	[READER_OUTPUT_LIMIT] = "reader_output_limit",
	[READER_PROTOCOL_ERROR] = "reader_protocol_error",
	[READER_STOPPED] = "reader_stopped",
};

const char *reader_verdict_code(enum reader_verdict verdict)
{
	return (unsigned)verdict < READER_VERDICT_COUNT ? verdict_codes[verdict] : "reader_protocol_error";
}

/* ---- start ---- */

struct arguments {
	char *list[ARGUMENTS_MAX + 1];
	size_t count;
	bool failed;
};

static void add_argument(struct arguments *arguments, struct arena *arena, const char *text)
{
	char *copy = arguments->count < ARGUMENTS_MAX ? arena_strdup(arena, text) : NULL;
	if (copy)
		arguments->list[arguments->count++] = copy;
	else
		arguments->failed = true;
}

static void add_limit(struct arguments *arguments, struct arena *arena, const char *name, int64_t value)
{
	if (value <= 0)
		return;
	add_argument(arguments, arena, name);
	add_argument(arguments, arena, arena_printf(arena, "%lld", (long long)value));
}

static void make_arguments(struct arguments *arguments, struct arena *arena, const struct reader_options *options)
{
	const char *const first[] = {options->argv0, "read", options->format, "--mode", options->mode};
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		add_argument(arguments, arena, first[i]);
	add_limit(arguments, arena, "--max-memory", options->memory_bytes);
	add_limit(arguments, arena, "--max-cpu", options->cpu_seconds);
	if (options->scratch_directory)
		add_limit(arguments, arena, "--scratch", options->scratch_bytes > 0 ? options->scratch_bytes : READER_SCRATCH_DEFAULT);
	for (size_t i = 0; options->extra && options->extra[i]; i++)
		add_argument(arguments, arena, options->extra[i]);
}

/* A file without a name: it is gone with the last process that has it open. -1 when there is none to be had. */
static int open_scratch(const char *directory)
{
	char name[4096];
	int fd = open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || errno != EOPNOTSUPP)
		return fd;
	snprintf(name, sizeof(name), "%s/scratch-XXXXXX", directory); /* a file system without O_TMPFILE */
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

/* In the child, between fork and exec: only async-signal-safe calls. Does not return. scratch: -1 for none. */
static void become_reader(const char *program, char **arguments, int input, int output, int scratch, pid_t parent)
{
	static char *const no_environment[] = {NULL};
	sigset_t none;
	sigemptyset(&none);
	/* Copies above 2 first, so that no dup2 overwrites what the next one needs. */
	input = fcntl(input, F_DUPFD, 10);
	output = fcntl(output, F_DUPFD, 10);
	scratch = scratch >= 0 ? fcntl(scratch, F_DUPFD, 10) : -1;
	int null = open("/dev/null", O_WRONLY);
	bool ready = input >= 0 && output >= 0 && null >= 0 && dup2(input, 0) == 0 && dup2(output, 1) == 1 && dup2(null, 2) == 2 &&
		     (scratch < 0 || dup2(scratch, SANDBOX_SCRATCH) == SANDBOX_SCRATCH) &&
		     close_range(scratch < 0 ? SANDBOX_SCRATCH : SANDBOX_SCRATCH + 1, ~0U, 0) == 0 && setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (ready)
		execve(program, arguments, no_environment);
	_exit(CHILD_NOT_EXECUTED);
}

struct reader_options reader_options_of(struct arena *arena, const struct config *config)
{
	return (struct reader_options){
	    .program = *config->reader_program ? config->reader_program : "/proc/self/exe",
	    .argv0 = "tidegate",
	    .scratch_directory = arena_printf(arena, "%s/spool", config->storage_root),
	    .wait_ms = config->reader_silence_s * 1000,
	    .memory_bytes = config->reader_memory,
	    .cpu_seconds = config->reader_cpu_s,
	};
}

enum err reader_start(struct reader *reader, struct arena *arena, const struct reader_options *options)
{
	struct arguments arguments = {0};
	int ends[2] = {-1, -1};
	make_arguments(&arguments, arena, options);
	struct str *cells = arena_array(arena, FRAME_CELLS_MAX, sizeof(cells[0]));
	if (arguments.failed || !cells)
		return ERR_TOO_LARGE;
	int scratch = options->scratch_directory ? open_scratch(options->scratch_directory) : -1;
	if (options->scratch_directory && scratch < 0)
		return ERR_IO;
	if (pipe2(ends, O_CLOEXEC)) {
		if (scratch >= 0)
			close(scratch);
		return ERR_IO;
	}
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	pid_t parent = getpid(), child = fork();
	if (child == 0)
		become_reader(options->program, arguments.list, options->input, ends[1], scratch, parent);
	close(ends[1]);
	if (scratch >= 0)
		close(scratch);
	if (child < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK)) {
		close(ends[0]);
		if (child > 0) {
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
		}
		return ERR_IO;
	}
	*reader = (struct reader){.child = child, .pipe = ends[0], .cells = cells, .wait_left_us = options->wait_ms * 1000,
				  .output_left = options->output_bytes > 0 ? options->output_bytes : -1, .tables = options->tables};
	buf_init(&reader->bytes, FRAME_HEADER + FRAME_PAYLOAD_MAX);
	return OK;
}

/* ---- frames ---- */

/* The first verdict stands; the child is not worth keeping after it. */
static void decide(struct reader *reader, enum reader_verdict verdict)
{
	reader->ended = true;
	reader->killed = true;
	reader->result.verdict = verdict;
	kill(reader->child, SIGKILL);
}

/* Waits until the pipe can be read. False: no time left. */
static bool wait_readable(struct reader *reader)
{
	struct pollfd poll_fd = {.fd = reader->pipe, .events = POLLIN};
	for (;;) {
		if (reader->wait_left_us <= 0)
			return false;
		int64_t before = clock_monotonic_us(), ms = (reader->wait_left_us + 999) / 1000;
		int ready = poll(&poll_fd, 1, ms < INT32_MAX ? (int)ms : INT32_MAX);
		reader->wait_left_us -= clock_monotonic_us() - before;
		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
}

/* Until at least n bytes stand in the buffer. False: the pipe is at its end, or a verdict was made. */
static bool fill(struct reader *reader, size_t n)
{
	while (reader->bytes.len < n) {
		char *to = buf_reserve(&reader->bytes, n - reader->bytes.len);
		if (!to) {
			decide(reader, READER_PROTOCOL_ERROR);
			return false;
		}
		ssize_t got = read(reader->pipe, to, n - reader->bytes.len);
		if (got == 0) {
			reader->pipe_closed = true;
			return false;
		}
		if (got > 0) {
			reader->bytes.len += (size_t)got;
		} else if (errno == EAGAIN) {
			if (!wait_readable(reader)) {
				decide(reader, READER_TIMEOUT);
				return false;
			}
		} else if (errno != EINTR) {
			decide(reader, READER_PROTOCOL_ERROR);
			return false;
		}
	}
	return true;
}

static bool take_frame(struct reader *reader, struct frame *frame)
{
	size_t length = 0;
	enum frame_type type = FRAME_META;
	buf_clear(&reader->bytes);
	if (!fill(reader, FRAME_HEADER))
		return false;
	if (frame_header_parse(reader->bytes.data, &type, &length)) {
		decide(reader, READER_PROTOCOL_ERROR);
		return false;
	}
	if (!fill(reader, FRAME_HEADER + length))
		return false;
	*frame = (struct frame){type, {reader->bytes.data + FRAME_HEADER, length}};
	if (reader->output_left >= 0) {
		reader->output_left -= (int64_t)(FRAME_HEADER + length);
		if (reader->output_left < 0) {
			decide(reader, READER_OUTPUT_LIMIT);
			return false;
		}
	}
	return true;
}

static void note_failure(struct reader *reader, const struct frame *frame)
{
	struct frame_failure failure = frame_failure_read(frame);
	struct reader_result *result = &reader->result;
	result->verdict = READER_REFUSED;
	memcpy(result->code, failure.code.p, failure.code.n);
	memcpy(result->message, failure.message.p, failure.message.n);
	reader->ended = true;
}

static void note_end(struct reader *reader, const struct frame *frame)
{
	reader->result.end = frame_end_read(frame);
	if (reader->result.end.rows != reader->rows) {
		decide(reader, READER_PROTOCOL_ERROR);
		return;
	}
	reader->result.verdict = READER_OK;
	reader->ended = true;
}

/* META first and once; everything else but FAIL after it. Rows come in ROWS, or in VALUES inside a table, as was agreed. */
static bool in_order(struct reader *reader, enum frame_type type)
{
	bool open = reader->table.cells > 0;
	if (type == FRAME_FAIL)
		return true;
	if ((type == FRAME_META) == reader->has_meta)
		return false;
	reader->has_meta = true;
	if (type == FRAME_ROWS)
		return !reader->tables;
	if (type == FRAME_VALUES || type == FRAME_TABLE_END)
		return open;
	return type == FRAME_TABLE ? reader->tables && !open : type != FRAME_END || !open;
}

/* What a frame of a table says must agree with what was said before it. */
static bool tables_agree(struct reader *reader, const struct frame *frame)
{
	if (frame->type == FRAME_TABLE) {
		reader->table = values_table_read(frame);
		bool rises = reader->table.index >= reader->table_first;
		reader->table_first = (uint64_t)reader->table.index + 1;
		reader->table_rows = 0;
		return rises;
	}
	if (frame->type == FRAME_VALUES) {
		struct values_cursor cursor;
		values_open(&cursor, frame, NULL);
		reader->table_rows += cursor.rows;
		reader->rows += cursor.rows;
		return cursor.cells == reader->table.cells;
	}
	if (frame->type == FRAME_TABLE_END) {
		struct table_end end = values_table_end_read(frame);
		bool right = end.index == reader->table.index && end.rows == reader->table_rows;
		reader->table.cells = 0;
		return right;
	}
	return true;
}

enum reader_step reader_next(struct reader *reader, struct frame *frame)
{
	if (reader->ended || reader->pipe_closed || !take_frame(reader, frame))
		return READER_OVER;
	if (!in_order(reader, frame->type) || frame_payload_check(frame, &reader->last_row) || !tables_agree(reader, frame)) {
		decide(reader, READER_PROTOCOL_ERROR);
		return READER_OVER;
	}
	if (frame->type == FRAME_FAIL)
		note_failure(reader, frame);
	else if (frame->type == FRAME_END)
		note_end(reader, frame);
	else if (frame->type == FRAME_ROWS) {
		struct frame_cursor cursor;
		frame_rows_open(&cursor, frame, reader->cells);
		reader->rows += cursor.rows_left;
	}
	return reader->ended ? READER_OVER : READER_FRAME;
}

void reader_rows(struct reader *reader, const struct frame *frame, struct frame_cursor *cursor)
{
	frame_rows_open(cursor, frame, reader->cells);
}

/* ---- verdict ---- */

/* What the end of a child that left without END or FAIL means. */
static enum reader_verdict verdict_of(int status)
{
	if (WIFSIGNALED(status)) {
		int number = WTERMSIG(status);
		return number == SIGSYS    ? READER_KILLED_BY_SANDBOX
		       : number == SIGXCPU ? READER_CPU_LIMIT
		       : number == SIGKILL ? READER_OUT_OF_MEMORY /* not by us: the kernel's out-of-memory killer */
					   : READER_CRASHED;
	}
	if (WEXITSTATUS(status) == READ_EXIT_MEMORY)
		return READER_OUT_OF_MEMORY;
	return WEXITSTATUS(status) == 0 ? READER_PROTOCOL_ERROR : READER_CRASHED;
}

/* Only END or FAIL, or the end of the pipe, let a child leave by itself, and it has a second for that. */
static int reap(struct reader *reader)
{
	int status = 0;
	for (int tries = 0; !reader->killed && (reader->ended || reader->pipe_closed) && tries < 1000; tries++) {
		pid_t done = waitpid(reader->child, &status, WNOHANG);
		if (done == reader->child)
			return status;
		clock_sleep_ms(1);
	}
	kill(reader->child, SIGKILL);
	reader->killed = true;
	while (waitpid(reader->child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

struct reader_result reader_finish(struct reader *reader)
{
	struct reader_result *result = &reader->result;
	result->wait_status = reap(reader);
	if (!reader->ended)
		result->verdict = reader->killed ? (reader->pipe_closed ? READER_TIMEOUT : READER_STOPPED) : verdict_of(result->wait_status);
	if (result->verdict != READER_REFUSED)
		memcpy(result->code, verdict_codes[result->verdict], strlen(verdict_codes[result->verdict]) + 1);
	close(reader->pipe);
	buf_release(&reader->bytes);
	reader->child = 0;
	return *result;
}
