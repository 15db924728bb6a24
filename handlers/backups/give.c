/*
 * Handing backups out: a download is a redirect to a signed URL of the store, so that no byte of it goes through this process. Must never hand out
 * anything but what the inventory of the space names.
 */
#include "core/base/clock.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/backups/handlers.h"

#include <string.h>

enum { LINK_LEAST_S = 60, LINK_MOST_S = 86400 };

static enum err sign(struct request *request, const struct pg_rows *rows, int64_t life_s, const char **ret_url)
{
	const char *key = pg_text(rows, 0, 1), *slash = strchr(key, '/');
	char *name = arena_strdup(request->arena, slash ? slash + 1 : key);
	if (!name)
		return ERR_TOO_LARGE;
	for (char *c = name; *c; c++)
		if (*c == '/')
			*c = '-';
	return store_presign_get(request->arena, request->gate->config, key, name, "application/octet-stream", life_s, ret_url);
}

static enum err redirect(struct request *request, struct response *response, const struct pg_rows *rows)
{
	const char *url = NULL;
	enum err err = sign(request, rows, request->gate->config->download_url_life_s, &url);
	if (err)
		return err;
	response->status = 302;
	respond_header(response, "Location", url);
	respond_header(response, "Cache-Control", "no-store");
	return OK;
}

/* Only the stored form is handed out; what else a client may wish for, `tidegate restore` makes of it. */
static bool as_stored(struct response *response)
{
	static const char *const names[] = {"table", "profile", "as"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (query_text(response->request, names[i])) {
			refuse_field(response, PROBLEM_INVALID_FIELD, names[i], "backups are handed out as they are stored");
			return false;
		}
	return true;
}

/* Of a day. rows->count 0: refused. */
static enum err find_daily(struct request *request, struct response *response, const char *day, const char *database, struct pg_rows *rows)
{
	struct backup_sources sources;
	rows->count = 0;
	if (!backup_load(request, response, &sources) || !backup_known(request, response, &sources, database))
		return OK;
	if (!backup_is_day(day))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "date", "a day such as 2026-11-21");
	return backup_find(request, response, "daily", database, day, rows);
}

enum err backup_download(struct request *request, struct response *response)
{
	struct pg_rows rows;
	if (!as_stored(response))
		return OK;
	enum err err = find_daily(request, response, backup_path_text(request, 0), backup_path_text(request, 1), &rows);
	return err || rows.count == 0 ? err : redirect(request, response, &rows);
}

enum err backup_weekly_download(struct request *request, struct response *response)
{
	struct pg_rows rows;
	enum err err = backup_find(request, response, "weekly", backup_path_text(request, 0), NULL, &rows);
	return err || rows.count == 0 ? err : redirect(request, response, &rows);
}

/* path is that of a download, as the list says it. */
static enum err find_by_path(struct request *request, struct response *response, const char *path, struct pg_rows *rows)
{
	static const char daily[] = "/backups/download/", weekly[] = "/backups/weekly/";
	const char *rest = text_starts_with(path, daily) ? path + strlen(daily) : NULL;
	rows->count = 0;
	if (rest && strlen(rest) > 11 && rest[10] == '/')
		return find_daily(request, response, arena_copy(request->arena, rest, 10), rest + 11, rows);
	if (text_starts_with(path, weekly))
		return backup_find(request, response, "weekly", path + strlen(weekly), NULL, rows);
	return refuse_field(response, PROBLEM_INVALID_FIELD, "path", "the downloadUrl of a backup");
}

enum err backup_link(struct request *request, struct response *response)
{
	const char *path = NULL, *url = NULL;
	char at[CLOCK_ISO_SIZE];
	struct pg_rows rows;
	int64_t life = 0;
	if (!field_text(response, request->json, "path", 1, 200, &path) || !field_i64(response, request->json, "expiresIn", LINK_LEAST_S, LINK_MOST_S, &life))
		return OK;
	enum err err = find_by_path(request, response, path, &rows);
	if (err || rows.count == 0)
		return err;
	err = sign(request, &rows, life, &url);
	if (err)
		return err;
	clock_iso8601(clock_unix_us() + life * 1000000, at);
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "url", url);
	json_put_text(w, "expiresAt", at);
	return respond_end(response);
}
