/* import.remove: rows, file and report of a deleted import. Removing what is gone already is fine, so it can be repeated. */
#include "core/store/store.h"
#include "handlers/import/job_common.h"

enum err import_remove_run(struct worker *worker, struct arena *arena, struct job *job)
{
	const char *no = pg_number(arena, json_integer_value(json_object_get(job->args, "no")));
	size_t index;
	const json_t *key;
	json_array_foreach(json_object_get(job->args, "objects"), index, key)
	{
		enum err err = json_is_string(key) ? store_delete(worker->config, json_string_value(key)) : OK;
		if (err)
			return err;
	}
	enum err err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_IMPORT_PARTITIONS_DROP, PG_VALUES(no), NULL);
	if (!err)
		err = job_end(worker, arena, job, "done");
	return err ? err : pg_commit(&worker->pg);
}
