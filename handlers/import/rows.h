/* Rows of an import as clients see them. */
#ifndef TIDEGATE_HANDLERS_IMPORT_ROWS_H
#define TIDEGATE_HANDLERS_IMPORT_ROWS_H

#include "core/schema/catalog.h"
#include "fcgi/response.h"

/* The members of a row of the statement import_rows, into an object that is open. */
enum err import_put_row_members(struct json_writer *w, struct request *request, const struct schema_table *table, const struct pg_rows *rows,
                                int row) MUST_USE;

/* Answers with one row, in the transaction that is open; 404 when there is none of that number. */
enum err import_row_answer(struct request *request, struct response *response, const struct schema_target *target, const char *no, int64_t row) MUST_USE;

/* "import", "update", "skip"; NULL: nothing was decided by hand. */
const char *import_decision_name(int64_t decision);

#endif
