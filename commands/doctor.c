/*
 * tidegate doctor: looks at everything an operator would have to look at and says in plain words what is wrong.
 * Exit status 0 when nothing is. Changes nothing.
 */
#include "commands/store.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/net/http.h"
#include "core/store/store.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { DISK_FREE_PERCENT = 5, QUEUE_LATE_S = 300, SECRET_MIN = 32 };

struct diagnosis {
	struct command *command;
	int wrong;
};

static void fine(const char *what)
{
	printf("ok     %s\n", what);
}

PRINTF_LIKE(2, 3) static void wrong(struct diagnosis *d, const char *format, ...)
{
	va_list args;
	d->wrong++;
	va_start(args, format);
	fputs("WRONG  ", stdout);
	vprintf(format, args);
	fputc('\n', stdout);
	va_end(args);
}

/* Signatures, tokens, leases and schedules rely on clocks that agree. */
static void look_at_clock(struct diagnosis *d, const char *whose, int64_t ahead_s)
{
	int64_t limit = d->command->config->backups_clock_limit_s;
	if (ahead_s > limit || ahead_s < -limit)
		wrong(d, "the clock of the %s is %lld s %s that of this machine", whose, (long long)(ahead_s < 0 ? -ahead_s : ahead_s), ahead_s < 0 ? "behind" : "ahead of");
	else
		fine(arena_printf(d->command->arena, "clocks of this machine and the %s agree", whose));
}

static void look_at_role(struct diagnosis *d, const char *role, const char *name)
{
	struct pg_options options = database_options(d->command->config, role);
	struct pg pg;
	struct pg_rows rows;
	pg_init(&pg, &options);
	if (pg_ensure(&pg)) {
		wrong(d, "the database cannot be reached as %s: %s", name, pg.message);
	} else if (pg_query(&pg, d->command->arena, STMT_WHO_AM_I, PG_NONE, &rows)) {
		wrong(d, "the database answers %s with an error: %s", name, pg.message);
	} else if (!text_equal(pg_text(&rows, 0, 0), name)) {
		wrong(d, "database.%s connects as %s, it must be %s", role, pg_text(&rows, 0, 0), name);
	} else if (pg_bool(&rows, 0, 1) && !text_equal(role, "owner")) {
		wrong(d, "%s is a superuser or bypasses row-level security: data of different spaces is not kept apart", name);
	} else if (pg_i64(&rows, 0, 2) < 150000) {
		wrong(d, "PostgreSQL %s is too old, 15 or newer is needed", pg_text(&rows, 0, 3));
	} else {
		fine(arena_printf(d->command->arena, "database as %s (PostgreSQL %s)", name, pg_text(&rows, 0, 3)));
	}
	pg_close(&pg);
}

static void look_at_database(struct diagnosis *d)
{
	struct pg_options options = database_options(d->command->config, "worker");
	struct schema_catalog *catalog = arena_alloc(d->command->arena, sizeof(*catalog));
	struct pg pg;
	struct pg_rows rows;
	const char *why = NULL;
	pg_init(&pg, &options);
	if (pg_ensure(&pg) || !catalog)
		return; /* said already */
	if (!load_catalog(d->command, catalog))
		wrong(d, "the declarations in %s cannot be loaded (see above)", d->command->config->schema_dir);
	else if (check_drift(&pg, d->command->arena, catalog, &why))
		wrong(d, "%s", why ? why : pg.message);
	else
		fine("database schema is that of this program and its declarations");
	int64_t before = clock_unix_us();
	if (pg_query(&pg, d->command->arena, STMT_CLOCK_NOW, PG_NONE, &rows) == OK)
		look_at_clock(d, "database", clock_ahead_s(pg_i64(&rows, 0, 0), 1, before, clock_unix_us()));
	if (pg_query(&pg, d->command->arena, STMT_QUEUE_STATE, PG_NONE, &rows) == OK) {
		if (pg_i64(&rows, 0, 0) > QUEUE_LATE_S)
			wrong(d, "a job has been waiting for %lld s: is a worker running?", (long long)pg_i64(&rows, 0, 0));
		else
			fine("no job waits too long");
		if (pg_i64(&rows, 0, 1))
			wrong(d, "%lld jobs are dead letters: `tidegate jobs list --state dead`, docs/operations.md", (long long)pg_i64(&rows, 0, 1));
		else
			fine("no dead letters");
	}
	pg_close(&pg);
}

static void look_at_directory(struct diagnosis *d, const char *name)
{
	struct stat st;
	struct statvfs fs;
	const char *path = arena_printf(d->command->arena, "%s/%s", d->command->config->storage_root, name);
	if (!path || stat(path, &st))
		wrong(d, "%s: %s", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode) || access(path, R_OK | W_OK | X_OK))
		wrong(d, "%s cannot be written by this user", path);
	else if (st.st_mode & S_IRWXO)
		wrong(d, "%s is open to every user of the machine (mode %o); 0750 is enough", path, st.st_mode & 07777);
	else if (statvfs(path, &fs) == 0 && fs.f_bavail * 100 < fs.f_blocks * DISK_FREE_PERCENT)
		wrong(d, "%s: less than %d %% of the disk is free", path, DISK_FREE_PERCENT);
	else
		fine(path);
}

static void look_at_bucket(struct diagnosis *d)
{
	struct s3 s3;
	struct s3_page page;
	const char *why = NULL;
	int64_t ahead_s = 0;
	if (s3_open(d->command->arena, d->command->config, &s3, &why)) {
		wrong(d, "%s", why);
		return;
	}
	enum err err = s3_list(&s3, d->command->arena, "tidegate-check/", NULL, &page);
	if (err)
		wrong(d, "the bucket %s cannot be listed: %s", d->command->config->storage_bucket, store_reason(d->command, &s3, err));
	else
		fine("the bucket can be listed; `tidegate store check` tries out the rest");
	if (!err && store_clock(d->command->config, &ahead_s) == OK)
		look_at_clock(d, "object store", ahead_s);
}

static void look_at_storage(struct diagnosis *d)
{
	const char *root = d->command->config->storage_root;
	struct stat blobs, spool;
	look_at_directory(d, "spool");
	if (store_is_remote(d->command->config)) {
		look_at_bucket(d);
		return;
	}
	look_at_directory(d, "blobs");
	const char *a = arena_printf(d->command->arena, "%s/blobs", root), *b = arena_printf(d->command->arena, "%s/spool", root);
	if (a && b && stat(a, &blobs) == 0 && stat(b, &spool) == 0 && blobs.st_dev != spool.st_dev)
		wrong(d, "blobs and spool of %s are on different file systems: uploads cannot be linked into place", root);
}

static void look_at_secrets(struct diagnosis *d)
{
	const struct config *config = d->command->config;
	const char *path = d->command->config_path ? d->command->config_path : "/etc/tidegate/tidegate.ini";
	struct stat st;
	if (*config->jwt_secret && strlen(config->jwt_secret) < SECRET_MIN)
		wrong(d, "auth.jwt_secret has fewer than %d bytes", SECRET_MIN);
	else if (!*config->jwt_secret && !*config->jwks)
		wrong(d, "neither auth.jwt_secret nor auth.jwks is set: nobody can sign in");
	else
		fine("keys for access tokens");
	if (!store_is_remote(config) && strlen(config->storage_secret_key) < SECRET_MIN)
		wrong(d, "storage.secret_key has fewer than %d characters", SECRET_MIN);
	else
		fine("key for signed URLs");
	if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO))
		wrong(d, "%s can be read by every user of the machine", path);
}

static void look_at_origin(struct diagnosis *d)
{
	const char *why = NULL, *url = arena_printf(d->command->arena, "%s/api/health?probe=live", d->command->config->public_url);
	struct http_request request = {.method = "GET", .url = url, .response_max = 64 << 10, .timeout_ms = 5000, .ca_file = getenv("TIDEGATE_CA_FILE")};
	struct http_response response;
	if (!url || http_request(d->command->arena, &request, &response, &why))
		wrong(d, "%s does not answer: %s (a certificate of your own: set TIDEGATE_CA_FILE)", d->command->config->public_url, why ? why : "");
	else if (response.status != 200)
		wrong(d, "%s answers with status %d", d->command->config->public_url, response.status);
	else
		fine(arena_printf(d->command->arena, "%s answers, its certificate is valid", d->command->config->public_url));
}

int command_doctor(struct command *command)
{
	struct diagnosis d = {command, 0};
	look_at_role(&d, "owner", "tidegate_owner");
	look_at_role(&d, "api", "tidegate_api");
	look_at_role(&d, "worker", "tidegate_worker");
	look_at_database(&d);
	look_at_storage(&d);
	look_at_secrets(&d);
	look_at_origin(&d);
	if (d.wrong)
		printf("%d things are wrong\n", d.wrong);
	else
		printf("all is well\n");
	return d.wrong ? 1 : 0;
}
