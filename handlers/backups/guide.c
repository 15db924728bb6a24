/*
 * GET /backups/restore-guide/{database}: the exact commands that restore the newest verified backup, as JSON, or as Markdown for people. Both are made of the same steps.
 * Must never name a command that was not run by a test (tests/http/test_backups_api.py), nor one that writes over a database.
 */
#include "fcgi/fields.h"
#include "handlers/backups/handlers.h"

#include <string.h>

enum { STEPS_MAX = 4 };

/* Columns of the statement backup_newest_verified. */
enum { NEWEST_DAY, NEWEST_KEY, NEWEST_SIZE, NEWEST_VERIFIED, NEWEST_ENCRYPTED, NEWEST_KIND, NEWEST_SHA256, NEWEST_ROWS, NEWEST_DIFFERENTIAL };

#define DIFFERENTIAL ".diff" /* in the key of an object that stands on another one */

struct way {
	const char *name, *title[2];
	const char *steps[STEPS_MAX];
	size_t count;
};

struct guide {
	const char *database, *description, *day, *key, *file, *sha256, *verified;
	int64_t size, rows;
	bool encrypted, postgresql;
	const char *url, *download, *check, *replace;
	struct way methods[2];
	size_t method_count;
};

static void plan_sqlite(struct guide *guide, struct arena *arena)
{
	bool compressed = strstr(guide->file, ".zst") != NULL;
	const char *file = guide->file, *database = guide->database;
	guide->methods[0] = (struct way){.name = "tidegate", .title = {"With Tidegate, which compares the content", "Avec Tidegate, qui compare le contenu"}, .count = 1};
	guide->methods[0].steps[0] = arena_printf(arena, "tidegate restore %s --to %s.restored.db%s", file, database, guide->encrypted ? " --identity key.txt" : "");
	guide->methods[1] = (struct way){.name = "stock",
	                                    .title = {guide->encrypted ? "With age, zstd and sqlite3 alone" : "With zstd and sqlite3 alone", guide->encrypted ? "Avec age, zstd et sqlite3 seuls" : "Avec zstd et sqlite3 seuls"},
	                                    .count = 2};
	guide->methods[1].steps[0] = arena_printf(arena, "%s%s%s | sqlite3 -bail %s.restored.db", guide->encrypted ? "age -d -i key.txt " : compressed ? "zstd -dc " : "cat ", file,
	                                          guide->encrypted && compressed ? " | zstd -d" : "", database);
	guide->methods[1].steps[1] = arena_printf(arena, "sqlite3 %s.restored.db 'PRAGMA integrity_check'", database);
	guide->method_count = 2;
	guide->replace = arena_printf(arena, "for f in \"$DB\" \"$DB-wal\" \"$DB-shm\"; do [ ! -e \"$f\" ] || mv -- \"$f\" \"$f.before\"; done\ncp -- %s.restored.db \"$DB\"", database);
}

static void plan_postgresql(struct guide *guide, struct arena *arena)
{
	struct way *way = &guide->methods[0];
	const char *plain = guide->encrypted ? arena_printf(arena, "%s.restored.pgdump", guide->database) : guide->file;
	*way = (struct way){.name = "pg_restore", .title = {"With pg_restore", "Avec pg_restore"}};
	if (guide->encrypted)
		way->steps[way->count++] = arena_printf(arena, "age -d -i key.txt %s > %s", guide->file, plain);
	way->steps[way->count++] = "createdb -O tidegate_owner tidegate_restored";
	way->steps[way->count++] = arena_printf(arena, "pg_restore --exit-on-error -d tidegate_restored %s", plain);
	guide->method_count = 1;
}

static void plan(struct guide *guide, struct arena *arena, const struct config *config, const struct backup_source *source, const struct pg_rows *rows)
{
	*guide = (struct guide){
	    .database = source->name,
	    .description = source->description,
	    .day = pg_text(rows, 0, NEWEST_DAY),
	    .key = pg_text(rows, 0, NEWEST_KEY),
	    .sha256 = pg_text(rows, 0, NEWEST_SHA256),
	    .verified = pg_text(rows, 0, NEWEST_VERIFIED),
	    .size = pg_i64(rows, 0, NEWEST_SIZE),
	    .rows = pg_i64(rows, 0, NEWEST_ROWS),
	    .encrypted = pg_bool(rows, 0, NEWEST_ENCRYPTED),
	    .postgresql = source->postgresql,
	};
	guide->file = strrchr(guide->key, '/') + 1;
	const char *mark = pg_bool(rows, 0, NEWEST_DIFFERENTIAL) ? strstr(guide->file, DIFFERENTIAL) : NULL;
	if (mark) /* what is downloaded is the whole, made for it: nobody knows its digest before */
		guide->file = arena_printf(arena, "%.*s%s", (int)(mark - guide->file), guide->file, mark + strlen(DIFFERENTIAL));
	guide->url = arena_printf(arena, "/backups/download/%s/%s", guide->day, guide->database);
	guide->download = arena_printf(arena, "curl -fL -H \"Authorization: Bearer $TOKEN\" -o %s %s%s", guide->file, config->public_url, guide->url);
	guide->check = mark ? NULL : arena_printf(arena, "echo '%s  %s' | sha256sum -c", guide->sha256, guide->file);
	if (source->postgresql)
		plan_postgresql(guide, arena);
	else
		plan_sqlite(guide, arena);
}

static enum err answer_json(struct response *response, const struct guide *guide)
{
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "database", guide->database);
	json_put_text(w, "description", guide->description);
	json_put_text(w, "date", guide->day);
	json_put_text(w, "objectKey", guide->key);
	json_put_bool(w, "encrypted", guide->encrypted);
	json_put_text(w, "downloadUrl", guide->url);
	json_put_text(w, "download", guide->download);
	json_put_text(w, "check", guide->check);
	json_object_open(w, "methods");
	for (size_t i = 0; i < guide->method_count; i++) {
		json_object_open(w, guide->methods[i].name);
		json_array_open(w, "steps");
		for (size_t s = 0; s < guide->methods[i].count; s++)
			json_put_text(w, NULL, guide->methods[i].steps[s]);
		json_array_close(w);
		json_object_close(w);
	}
	json_object_close(w);
	return respond_end(response);
}

/* A description is somebody's text: one line, without what Markdown or HTML would make of it. */
static void put_plain(struct buf *out, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (strchr("\\`*_{}[]()<>#+-.!|&~:", *c))
			buf_append_char(out, '\\');
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			buf_append_char(out, ' ');
		else
			buf_append_char(out, *c);
	}
}

static void put_code(struct buf *out, const char *const *lines, size_t count)
{
	buf_append_text(out, "\n```sh\n");
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s\n", lines[i]);
	buf_append_text(out, "```\n");
}

static const char *say(const struct request *request, const char *english, const char *french)
{
	return request->language == LANGUAGE_FR ? french : english;
}

static void put_intro(struct buf *out, const struct request *request, const struct guide *guide)
{
	buf_printf(out, "# %s `%s`\n", say(request, "Restoring", "Restaurer"), guide->database);
	if (*guide->description) {
		buf_append_char(out, '\n');
		put_plain(out, guide->description);
		buf_append_char(out, '\n');
	}
	buf_printf(out, "\n%s `%s`, %s %lld %s.\n", say(request, "The newest good backup is", "La plus récente bonne sauvegarde est"), guide->key,
	           say(request, "of", "de"), (long long)guide->size, say(request, "bytes", "octets"));
	if (guide->verified && !guide->postgresql)
		buf_printf(out, "%s %.16s UTC: %lld %s.\n", say(request, "A restore of it gave the same content on", "Une restauration a redonné le même contenu le"), guide->verified,
		           (long long)guide->rows, say(request, "rows", "lignes"));
	buf_printf(out, "%s\n", say(request, "Everything below makes a new database; nothing is written over.", "Tout ce qui suit crée une nouvelle base de données ; rien n’est écrasé."));
}

static enum err answer_markdown(struct request *request, struct response *response, const struct guide *guide)
{
	struct buf *out = &response->body;
	const char *fetch[] = {guide->download, guide->check};
	bool plain = !accept_names(request_param(request, "HTTP_ACCEPT"), "text/markdown");
	put_intro(out, request, guide);
	buf_printf(out, "\n## 1. %s\n\n%s\n", say(request, "Fetch it", "La récupérer"),
	           say(request, "`TOKEN` is the token of an administrator.", "`TOKEN` est le jeton d’un administrateur."));
	put_code(out, fetch, guide->check ? 2 : 1);
	buf_printf(out, "\n## 2. %s\n", say(request, "Restore it, one way or the other", "La restaurer, d’une façon ou de l’autre"));
	if (guide->encrypted)
		buf_printf(out, "\n%s\n", say(request, "`key.txt` holds the secret key of one of its recipients.", "`key.txt` contient la clé secrète d’un de ses destinataires."));
	for (size_t i = 0; i < guide->method_count; i++) {
		buf_printf(out, "\n### %s\n", guide->methods[i].title[request->language]);
		put_code(out, guide->methods[i].steps, guide->methods[i].count);
	}
	if (guide->replace) {
		buf_printf(out, "\n## 3. %s\n\n%s\n", say(request, "Put it into its place", "La mettre en place"),
		           say(request, "Stop what uses the database first. `DB` is the path of its file; what was there stays beside it, as `….before`.",
		               "Arrêtez d’abord ce qui utilise la base de données. `DB` est le chemin de son fichier ; l’ancien reste à côté, sous le nom `….before`."));
		put_code(out, &guide->replace, 1);
	}
	response->status = 200;
	response->content_type = plain ? "text/plain; charset=utf-8" : "text/markdown; charset=utf-8";
	respond_header(response, "Content-Language", say(request, "en", "fr"));
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err backup_guide(struct request *request, struct response *response)
{
	struct backup_sources sources;
	struct pg_rows rows;
	struct guide guide;
	const char *database = backup_path_text(request, 0), *accept = request_param(request, "HTTP_ACCEPT");
	if (!backup_load(request, response, &sources) || !backup_known(request, response, &sources, database))
		return OK;
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_NEWEST_VERIFIED, PG_VALUES(database), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse_with(response, PROBLEM_BACKUP_NOT_FOUND, "available", "");
	plan(&guide, request->arena, request->gate->config, backup_source_find(&sources, database), &rows);
	respond_header(response, "Vary", "Accept, Accept-Language");
	return accept_names(accept, "text/markdown") || accept_names(accept, "text/html") ? answer_markdown(request, response, &guide) : answer_json(response, &guide);
}
