/*
 * What the import jobs share: the import at hand as import_start gave it, running a reader on its file, ending.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_JOB_COMMON_H
#define TIDEGATE_HANDLERS_IMPORT_JOB_COMMON_H

#include "core/crypto/digest.h"
#include "core/jobs/jobs.h"
#include "handlers/import/check.h"
#include "readers/reader.h"

struct import_work {
	const char *no; /* decimal, names the partition */
	const char *id, *space, *target_name, *object_key, *file_name, *created_by;
	const struct schema_target *target;
	const char *encoding, *delimiter, *mapping; /* NULL until inspected */
	const char *sheet; /* of a workbook; NULL otherwise */
	const char *overrides, *format, *assignment, *duplicates, *defaults;
	const char *file_hash; /* SHA-256, hex; NULL until somebody has read the file */
	const char *value_map; /* JSON: what values of the file mean, by field */
	int64_t header_row, rows_total, rows_invalid, parsed_to, columns;
	int64_t edits; /* rows changed by hand */
	bool planned, parsed;
};

/* Takes the import into the phase. *ret_go false: it is in no state for that (cancelled meanwhile, done before). */
enum err import_begin(struct worker *worker, struct arena *arena, struct job *job, const char *from, const char *status,
                      struct import_work *ret, bool *ret_go) MUST_USE;

/* An import that is ready, without taking it anywhere. *ret_go false: it is not. */
enum err import_look(struct worker *worker, struct arena *arena, struct job *job, struct import_work *ret, bool *ret_go) MUST_USE;

/* Ends the job without touching the import (there was nothing to do). */
enum err import_nothing(struct worker *worker, struct arena *arena, struct job *job) MUST_USE;

/* Stops the import as cancelled and ends the job, in one transaction. */
enum err import_cancelled(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work) MUST_USE;

/*
 * Opens the import's file. Its SHA-256 is computed when hash is not NULL, and whenever the file comes from a store of its own; it
 * must then be the one that is known of it. job->failure is set on failure. ret_size may be NULL.
 */
enum err import_open(struct worker *worker, struct job *job, const struct import_work *work, char hash[SHA256_HEX_SIZE], int64_t *ret_size,
                     int *ret_fd) MUST_USE;

/* Starts a reader child on that file, which must stay open until reader_finish. */
enum err import_read(struct worker *worker, struct arena *arena, int fd, const char *mode, const char *const *extra, struct reader *reader) MUST_USE;

/* What a verdict means for the job: OK, or job_refuse with its code. */
enum err import_verdict(struct job *job, const struct reader_result *result) MUST_USE;

/*
 * Opens the transaction in which duplicates of an import are marked, in the scope of who made it: the planner knows the stored
 * records and the rows, has memory for sets, and nobody else marks this import until it ends. In no transaction.
 */
enum err import_open_marks(struct worker *worker, struct arena *arena, const struct import_work *work) MUST_USE;

/* Lets the planner know the stored records as they are. Before import_mark, and in no transaction: it takes a lock that others wait for. */
enum err import_know_records(struct worker *worker, struct arena *arena, const struct import_work *work) MUST_USE;

/*
 * Marks duplicates in import_outcome, in the open transaction under the space's scope: rows that repeat an earlier row of
 * the file get action in_file, rows that are stored already get action in_database. keys NULL: every key of the target.
 * file_known: the marks of the file stand already, or are not wanted. in_database -1: only rows decided to update by hand are
 * compared with what is stored.
 */
enum err import_mark(struct worker *worker, struct arena *arena, const struct import_work *work, const bool *keys, bool file_known, int in_file,
                     int in_database) MUST_USE;

/* The part of it that looks for stored records: valid rows first to last without a mark, under every key or those of keys. */
enum err import_match(struct worker *worker, struct arena *arena, const struct import_work *work, const bool *keys, const char *first, const char *last,
                      const char *action) MUST_USE;

/* Marks duplicates under every key, to be shown, and what was decided by hand; counts in the file and in the database. */
enum err import_mark_all(struct worker *worker, struct arena *arena, const struct import_work *work, struct pg_rows *ret_counts) MUST_USE;

struct commit_plan;

/* The outcomes of a commit after that plan, in the open transaction: rows that are inserted have none. */
enum err import_plan_rows(struct worker *worker, struct arena *arena, const struct import_work *work, const struct commit_plan *plan) MUST_USE;

/* Makes the error report of the import (or none when every row came in) and notes it with the import, in the open transaction. */
enum err import_make_report(struct worker *worker, struct arena *arena, const struct import_work *work) MUST_USE;

enum err import_inspect_run(struct worker *worker, struct arena *arena, struct job *job);
enum err import_parse_run(struct worker *worker, struct arena *arena, struct job *job);
enum err import_commit_run(struct worker *worker, struct arena *arena, struct job *job);
enum err import_review_run(struct worker *worker, struct arena *arena, struct job *job);
enum err import_undo_run(struct worker *worker, struct arena *arena, struct job *job);
enum err import_remove_run(struct worker *worker, struct arena *arena, struct job *job);
enum err import_retention_run(struct worker *worker, struct arena *arena, struct job *job);

#endif
