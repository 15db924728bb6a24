/*
 * backup.clock: compares our clock with that of PostgreSQL, by which runs are dated and backups called stale, and with that of the object store, which refuses
 * signatures of another time. Every hour, on the host whose worker takes it. Must never say of a store that does not answer what its clock says.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/store.h"
#include "handlers/backups/handlers.h"

#include <unistd.h>

static enum err tell(struct worker *worker, struct arena *arena, const char *whose, int64_t ahead_s)
{
	char host[65] = "host";
	struct pg_rows rows;
	gethostname(host, sizeof(host) - 1);
	enum err err = pg_query(&worker->pg, arena, STMT_BACKUP_CLOCK,
	                        PG_VALUES(worker->config->backups_space, whose, host, pg_number(arena, ahead_s), pg_number(arena, worker->config->backups_clock_limit_s)), &rows);
	if (!err && pg_bool(&rows, 0, 0))
		log_write(LOG_LEVEL_WARN, "backup_clock", LOG_TEXT("clock", whose), LOG_INT("aheadSeconds", ahead_s));
	return err;
}

static enum err look_at_database(struct worker *worker, struct arena *arena)
{
	struct pg_rows rows;
	int64_t before = clock_unix_us();
	enum err err = pg_query(&worker->pg, arena, STMT_CLOCK_NOW, PG_NONE, &rows);
	return err ? err : tell(worker, arena, "database", clock_ahead_s(pg_i64(&rows, 0, 0), 1, before, clock_unix_us()));
}

enum err backup_clock_run(struct worker *worker, struct arena *arena, struct job *job)
{
	int64_t ahead_s = 0;
	enum err err = look_at_database(worker, arena), seen = err ? err : store_clock(worker->config, &ahead_s);
	if (!err && !seen)
		err = tell(worker, arena, "storage", ahead_s);
	return err ? err : job_end(worker, arena, job, "done");
}
