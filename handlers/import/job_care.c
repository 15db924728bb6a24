/*
 * What people may do to the jobs of imports by way of the queue's own addresses: the same as by those of imports.
 * Registered by commands/serve.c. Must never let a job of an import end without the import learning of it.
 */
#include "fcgi/job_care.h"

#include "handlers/import/failures.h"
#include "handlers/import/handlers.h"

static const struct job_care kinds[] = {
    {"import.inspect", import_retry, import_cancel, false, import_failure_sentence},
    {"import.parse", import_retry, import_cancel, false, import_failure_sentence},
    {"import.commit", import_retry, import_cancel, false, import_failure_sentence},
    {"import.undo", import_retry, import_cancel, false, import_failure_sentence},
    {"import.review", NULL, NULL, true, import_failure_sentence}, /* a dry run would wait for it for ever */
    {"import.remove", NULL, NULL, true, import_failure_sentence}, /* it alone knows which rows and files are left */
};

const struct job_care_table import_job_care = {kinds, sizeof(kinds) / sizeof(kinds[0])};
