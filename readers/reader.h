/*
 * The parent's side of a reader child: start it, take validated frames, learn how it ended. Used by the worker and the
 * command line. The child is a stranger: whatever it writes, or does not write, ends in a frame that was checked or in a
 * verdict with a stable code; never in a wait without end or a crash of ours.
 *
 * Life cycle: reader_start, reader_next until it is not READER_FRAME, reader_finish (at any time; kills a living child).
 * The child dies with the thread that started it (PR_SET_PDEATHSIG).
 */
#ifndef TIDEGATE_READERS_READER_H
#define TIDEGATE_READERS_READER_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/config.h"
#include "core/base/err.h"
#include "readers/frame.h"
#include "readers/values.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct reader_options {
	const char *program; /* path to execute, e.g. /proc/self/exe */
	const char *argv0;   /* its argv[0] */
	const char *format;  /* "csv" … */
	const char *mode;    /* "inspect" or "rows" */
	int input;           /* the file; regular, readable; stays the caller's */
	const char *const *extra; /* further arguments, NULL-terminated ("--encoding", "utf-8", NULL); NULL: none */
	int64_t wait_ms;      /* how long we may wait for the child in all; time in which it waits for us does not count */
	int64_t memory_bytes; /* beyond the program itself; 0: the child's default */
	int64_t cpu_seconds;  /* 0: the child's default */
	int64_t output_bytes; /* it may send so much; 0: any amount */
	const char *scratch_directory; /* the child gets an unlinked file there for what does not fit in memory; NULL: none */
	int64_t scratch_bytes;         /* largest size of that file; 0: READER_SCRATCH_DEFAULT */
	bool tables; /* it sends tables of typed values (TABLE, VALUES, TABLE_END), not ROWS */
};

/* Those that the configuration decides: program, limits, scratch directory. */
struct reader_options reader_options_of(struct arena *arena, const struct config *config);

#define READER_SCRATCH_DEFAULT (4ll << 30)

enum reader_verdict {
	READER_OK,       /* END came, and the child went */
	READER_REFUSED,  /* the reader's own FAIL: code and message are its own (empty_file, too_many_columns …) */
	READER_CRASHED,
	READER_KILLED_BY_SANDBOX,
	READER_OUT_OF_MEMORY,
	READER_TIMEOUT,
	READER_CPU_LIMIT,
	READER_OUTPUT_LIMIT,
	READER_PROTOCOL_ERROR, /* it sent what no reader sends, or left without END */
	READER_STOPPED,        /* we ended it before it was done */
	READER_VERDICT_COUNT
};

/* Stable code: ok, reader_refused, reader_crashed, reader_killed_by_sandbox, reader_out_of_memory, reader_timeout,
   reader_cpu_limit, reader_output_limit, reader_protocol_error, reader_stopped. */
const char *reader_verdict_code(enum reader_verdict verdict);

struct reader_result {
	enum reader_verdict verdict;
	char code[FRAME_CODE_MAX + 1];       /* the FAIL code when it refused, else reader_verdict_code */
	char message[FRAME_MESSAGE_MAX + 1]; /* the FAIL message, else "" */
	int wait_status;                     /* as waitpid has it, for the log */
	struct frame_end end;                /* of READER_OK */
};

struct reader {
	pid_t child; /* 0: none */
	int pipe;
	struct buf bytes; /* read from the pipe; frames are taken off its front */
	size_t taken;
	struct str *cells; /* for frame_rows_open */
	int64_t wait_left_us;
	int64_t output_left; /* < 0: any amount */
	uint64_t last_row, rows;
	struct table_begin table;         /* cells 0: none is open */
	uint64_t table_first, table_rows; /* least index that may come next; rows of the open table so far */
	bool has_meta, tables, ended, pipe_closed, killed;
	struct reader_result result;
};

enum reader_step {
	READER_FRAME, /* META, ROWS, NOTE, TABLE, VALUES or TABLE_END; valid until the next call */
	READER_OVER   /* call reader_finish for the verdict */
};

/* ERR_IO when there is no process, pipe or scratch file to be had, ERR_TOO_LARGE when the arena is exhausted. A program that cannot be
   executed shows as READER_CRASHED. */
enum err reader_start(struct reader *reader, struct arena *arena, const struct reader_options *options) MUST_USE;

enum reader_step reader_next(struct reader *reader, struct frame *frame) MUST_USE;

/* Rows of a ROWS frame from reader_next; then frame_row_next. Those of a VALUES frame: values_open, values_next (values.h). */
void reader_rows(struct reader *reader, const struct frame *frame, struct frame_cursor *cursor);

/* Ends the child if it lives, reaps it, gives everything back. */
struct reader_result reader_finish(struct reader *reader);

#endif
