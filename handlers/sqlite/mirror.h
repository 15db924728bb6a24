/*
 * The one way rows get into the lossless mirror of a batch: from a reader of our own or from what a parser elsewhere has sent.
 * Rows are committed in batches, each in one transaction with the checkpoint and the lease.
 *
 * Life cycle: mirror_open, mirror_tables, then for each table mirror_table, mirror_row …, mirror_table_end; mirror_finish; mirror_close.
 */
#ifndef TIDEGATE_HANDLERS_SQLITE_MIRROR_H
#define TIDEGATE_HANDLERS_SQLITE_MIRROR_H

#include "core/jobs/jobs.h"
#include "readers/values.h"

/* Where a table stands. */
struct mirror_place {
	int64_t table;    /* -1: none yet */
	int64_t at;       /* number of its last row */
	int64_t rows;     /* of it, so far */
	int64_t left_out; /* of those up to there, being too large */
};

/* A batch of rows on its way: its own connection and transaction. */
struct mirror_batch {
	struct pg *pg;
	bool open;   /* its transaction and COPY are */
	bool closed; /* all is sent, PostgreSQL has not answered yet */
	size_t bytes;
	int64_t added; /* rows */
	struct mirror_place place; /* of its end */
	bool done;                 /* the table has no more rows */
};

/*
 * Two batches alternate on two connections: while PostgreSQL works on one, the next is being filled. They are committed in the order of
 * their rows, so that a checkpoint always means that everything before it is there.
 */
struct mirror {
	struct worker *worker;
	struct arena *arena; /* of the job */
	struct job *job;     /* cancelled is set when somebody asked */
	const char *no;      /* decimal, of the batch of the import */
	int64_t batch_no;
	struct arena scratch; /* of a checkpoint */
	struct buf copy;      /* not sent yet */
	struct pg second;
	struct mirror_batch batches[2];
	unsigned filling; /* the one that rows go to */
	struct mirror_place place;
	int64_t total; /* rows of all tables */
};

/* rows_done: of an earlier run of the job, all tables. */
void mirror_open(struct mirror *mirror, struct worker *worker, struct arena *arena, struct job *job, const char *no, int64_t rows_done);
void mirror_close(struct mirror *mirror);

/* META of a reader, or the same made of what a parser has sent: tables and their columns. Not again after a checkpoint. */
enum err mirror_tables(struct mirror *mirror, const char *meta) MUST_USE;

/* Rows of this table follow; at and rows: where an earlier run left it, 0 otherwise. */
enum err mirror_table(struct mirror *mirror, int64_t table, int64_t at, int64_t rows) MUST_USE;
enum err mirror_row(struct mirror *mirror, const struct value_row *row, uint32_t cells) MUST_USE;
enum err mirror_table_end(struct mirror *mirror, int64_t left_out) MUST_USE;

/* Everything is sent: the rest is committed, counted against what is there, and the batch goes to `importing`. */
enum err mirror_finish(struct mirror *mirror) MUST_USE;

#endif
