/*
 * Handing backups out: a download is a redirect to a signed URL of the store, so that no byte of it goes through this process (other forms: give_as.c). Must never hand out
 * anything but what the inventory of the space names.
 */
#include "core/base/clock.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/handlers.h"

#include <string.h>

enum { LINK_LEAST_S = 60, LINK_MOST_S = 86400 };

enum err backup_find_store(struct request *request, const struct pg_rows *rows, struct config *ret)
{
	const struct stored_object object = {pg_text(rows, 0, FOUND_KEY), pg_text(rows, 0, FOUND_SHA256), pg_i64(rows, 0, FOUND_SIZE)};
	const struct config *config = request->gate->config;
	const char *name = NULL;
	int64_t size = -1;
	*ret = *config;
	enum err err = store_look(config, object.key, &size);
	if (!err && size == object.size)
		return OK;
	err = err ? err : ERR_INVALID;
	if (pg_bool(rows, 0, FOUND_REPLICA) && store_replica(request->arena, config, ret, &name)) {
		if (store_is_remote(ret))
			return OK;
		*ret = *config;
		err = backup_bring_back(request->arena, config, &object, true);
	}
	return err == ERR_NOT_FOUND || err == ERR_INVALID ? ERR_NOT_FOUND : OK;
}

static enum err sign(struct request *request, const struct pg_rows *rows, int64_t life_s, const char **ret_url)
{
	const char *key = pg_text(rows, 0, 1), *slash = strchr(key, '/');
	char *name = arena_strdup(request->arena, slash ? slash + 1 : key);
	if (!name)
		return ERR_TOO_LARGE;
	for (char *c = name; *c; c++)
		if (*c == '/')
			*c = '-';
	struct config where;
	enum err err = backup_find_store(request, rows, &where);
	return err ? err : store_presign_get(request->arena, &where, key, name, "application/octet-stream", life_s, ret_url);
}

static enum err redirect(struct request *request, struct response *response, const struct pg_rows *rows)
{
	const char *url = NULL;
	enum err err = sign(request, rows, request->gate->config->download_url_life_s, &url);
	if (err)
		return err == ERR_NOT_FOUND ? refuse(response, PROBLEM_BACKUP_LOST) : err;
	response->status = 302;
	respond_header(response, "Location", url);
	respond_header(response, "Cache-Control", "no-store");
	return OK;
}

/* The packing that a stored backup has: what `as` may say, or none of it. */
const char *backup_stored_form(const char *key)
{
	static const char *const forms[] = {"age", "zst", "sql"};
	const char *dot = strrchr(key, '.');
	for (size_t i = 0; dot && i < sizeof(forms) / sizeof(forms[0]); i++)
		if (text_equal(dot + 1, forms[i]))
			return forms[i];
	return "";
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
	const char *day = backup_path_text(request, 0), *database = backup_path_text(request, 1), *as, *profile, *table = query_text(request, "table");
	if (!query_choice(response, "as", "sql zst age", &as) || !query_choice(response, "profile", "sqlite d1", &profile))
		return OK;
	enum err err = find_daily(request, response, day, database, &rows);
	if (err || rows.count == 0)
		return err;
	bool d1 = text_equal(profile, "d1"), full = !pg_text(&rows, 0, FOUND_BASE);
	if (!full && !table && !d1 && !as)
		as = backup_stored_form(pg_text(&rows, 0, FOUND_KEY));
	if (full && !table && !d1 && (!as || text_equal(as, backup_stored_form(pg_text(&rows, 0, FOUND_KEY)))))
		return redirect(request, response, &rows);
	return backup_give_as(request, response, database, day, &rows, as, table, d1);
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
	const char *rest = path + strlen("/backups/download/");
	if (!pg_text(&rows, 0, FOUND_BASE))
		err = sign(request, &rows, life, &url);
	else
		err = backup_full_url(request, response, rest + 11, arena_copy(request->arena, rest, 10), &rows, life, &url);
	if (err || !url)
		return err == ERR_NOT_FOUND ? refuse(response, PROBLEM_BACKUP_LOST) : err;
	clock_iso8601(clock_unix_us() + life * 1000000, at);
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "url", url);
	json_put_text(w, "expiresAt", at);
	return respond_end(response);
}
