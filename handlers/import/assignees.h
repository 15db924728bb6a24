/*
 * Who the names in a column of a file are. A name is somebody's when it is, without regard to accents, case and
 * punctuation, the whole display name of exactly one person; else the first name of exactly one; else, letter for letter,
 * an id. What an operator has said about a value (the import's value map) goes before all that.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_ASSIGNEES_H
#define TIDEGATE_HANDLERS_IMPORT_ASSIGNEES_H

#include "handlers/import/job_common.h"

enum { PEOPLE_MAX = 10000, NAMES_MAX = 10000 };

struct person {
	const char *id;
	const char *name; /* display name, or NULL */
};

struct people_index;

/* NULL: the arena, which must outlive the index as the people must, is exhausted. */
struct people_index *people_index_make(struct arena *arena, const struct person *people, size_t count) MUST_USE;

/* The id of the person that is meant, or NULL. */
const char *people_find(const struct people_index *index, const char *name);

/*
 * In the open transaction: import_assignee says for every name in the column (decimal, from 1) of the import's valid rows
 * who that is. Refuses the job with too_many_names or too_many_people past the limits above.
 */
enum err import_know_people(struct worker *worker, struct arena *arena, struct job *job, const struct import_work *work, const char *column) MUST_USE;

#endif
