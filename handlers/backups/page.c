/*
 * GET /backups/ for people: how backups are doing, as one page of HTML without a script, in English or French. Called by read.c. What anybody may see says nothing of what is
 * backed up; databases and runs are for an administrator of the space, who signs in with a token. Must never write a text of somebody else's but by html_put.
 */
#include "core/base/clock.h"
#include "core/base/html.h"
#include "core/base/version.h"
#include "core/crypto/base64.h"
#include "core/crypto/digest.h"
#include "fcgi/fields.h"
#include "fcgi/guard.h"
#include "handlers/backups/failures.h"
#include "handlers/backups/handlers.h"

#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1a1d21;--dim:#5b6470;--line:#d9dee4;--good:#116b34;--warn:#8a5300;--bad:#b3211b;--link:#0b57a4}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e8eaed;--dim:#a2abb5;--line:#363c43;--good:#6fd18d;--warn:#f0b45a;--bad:#ff8a80;--link:#8ab8f0}}"
    "*{box-sizing:border-box}body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:64rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}"
    "h1{font-size:1.6rem;margin:0 0 .75rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}a{color:var(--link)}"
    ".state{padding:.75rem 1rem;border:1px solid;border-left-width:.4rem;border-radius:.3rem;margin:0 0 1rem}.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.25rem;margin:0}dt{color:var(--dim)}dd{margin:0}"
    "table{border-collapse:collapse;width:100%}th{text-align:left;color:var(--dim);font-weight:600}th,td{padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}"
    "small{color:var(--dim);display:block}.figure{white-space:nowrap}code{font-family:ui-monospace,monospace}footer{margin-top:2.5rem;color:var(--dim);font-size:.875rem}"
    "@media(max-width:40rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}thead{position:absolute;clip-path:inset(50%)}"
    "tr{display:block;border-bottom:1px solid var(--line);padding:.5rem 0}td{display:flex;gap:.75rem;border:0;padding:.1rem 0}td::before{content:attr(data-name);color:var(--dim);flex:0 0 7.5rem}}";

enum word {
	W_TITLE,
	W_HEALTHY,
	W_DEGRADED,
	W_UNHEALTHY,
	W_NOW,
	W_IDLE,
	W_RUNNING,
	W_NEXT,
	W_NONE,
	W_SCHEDULE,
	W_KEPT,
	W_STORED,
	W_DATABASES,
	W_DATABASE,
	W_VERIFIED,
	W_AGE,
	W_SIZE,
	W_LAST,
	W_GOOD,
	W_NEVER,
	W_GUIDE,
	W_RUNS,
	W_STARTED,
	W_TRIGGER,
	W_SCHEDULED,
	W_MANUAL,
	W_STATE,
	W_COMPLETED,
	W_PARTIAL,
	W_FAILED,
	W_SIGN_IN,
	W_SIGN_IN_TEXT,
	W_MORE,
	W_API,
	W_HEALTH,
	W_MINUTES,
	W_HOURS,
	W_DAYS,
	W_NO_RUNS,
	WORDS
};

static const char *const words[WORDS][2] = {
    [W_TITLE] = {"Backups", "Sauvegardes"},
    [W_HEALTHY] = {"Every database has a verified backup.", "Chaque base de données a une sauvegarde vérifiée."},
    [W_DEGRADED] = {"Verified backups are there, but the last attempt of a database failed.", "Des sauvegardes vérifiées existent, mais la dernière tentative d’une base de données a échoué."},
    [W_UNHEALTHY] = {"A database has no verified backup that is recent enough.", "Une base de données n’a pas de sauvegarde vérifiée assez récente."},
    [W_NOW] = {"Now", "En ce moment"},
    [W_IDLE] = {"nothing is running", "rien n’est en cours"},
    [W_RUNNING] = {"running", "en cours"},
    [W_NEXT] = {"Next run", "Prochain passage"},
    [W_NONE] = {"none: no database is configured", "aucun : aucune base de données n’est configurée"},
    [W_SCHEDULE] = {"Schedule", "Horaires"},
    [W_KEPT] = {"Kept", "Conservation"},
    [W_STORED] = {"Stored", "Stockage"},
    [W_DATABASES] = {"Databases", "Bases de données"},
    [W_DATABASE] = {"Database", "Base de données"},
    [W_VERIFIED] = {"Last verified", "Dernière vérifiée"},
    [W_AGE] = {"Age", "Âge"},
    [W_SIZE] = {"Size", "Taille"},
    [W_LAST] = {"Last attempt", "Dernière tentative"},
    [W_GOOD] = {"succeeded", "réussie"},
    [W_NEVER] = {"never", "jamais"},
    [W_GUIDE] = {"How to restore it", "Comment la restaurer"},
    [W_RUNS] = {"Last runs", "Derniers passages"},
    [W_STARTED] = {"Started", "Début"},
    [W_TRIGGER] = {"By", "Par"},
    [W_SCHEDULED] = {"schedule", "l’horaire"},
    [W_MANUAL] = {"hand", "une personne"},
    [W_STATE] = {"State", "État"},
    [W_COMPLETED] = {"completed", "terminé"},
    [W_PARTIAL] = {"partly failed", "échec partiel"},
    [W_FAILED] = {"failed", "échoué"},
    [W_SIGN_IN] = {"Show databases and runs", "Afficher les bases de données et les passages"},
    [W_SIGN_IN_TEXT] = {"for administrators: any name, the token as the password", "pour les administrateurs : un nom quelconque, le jeton comme mot de passe"},
    [W_MORE] = {"More:", "Plus :"},
    [W_API] = {"description of the API", "description de l’API"},
    [W_HEALTH] = {"health for monitoring", "état pour la surveillance"},
    [W_MINUTES] = {"min", "min"},
    [W_HOURS] = {"h", "h"},
    [W_DAYS] = {"d", "j"},
    [W_NO_RUNS] = {"None yet.", "Aucun pour le moment."},
};

struct page_out {
	struct buf *out;
	struct arena *arena;
	enum language language;
};

static const char *word(const struct page_out *page, enum word word)
{
	return words[word][page->language];
}

/* ---- values ---- */

/* "2026-11-21 08:47:38.12+00" as "2026-11-21 08:47 UTC". */
static const char *time_text(const struct page_out *page, const char *timestamp)
{
	return timestamp && strlen(timestamp) >= 16 ? arena_printf(page->arena, "%.10s %.5s UTC", timestamp, timestamp + 11) : NULL;
}

static const char *age_text(const struct page_out *page, int64_t seconds)
{
	static const struct {
		enum word word;
		int64_t from, unit;
	} units[] = {{W_DAYS, 172800, 86400}, {W_HOURS, 7200, 3600}, {W_MINUTES, 0, 60}};
	size_t i = 0;
	while (seconds < units[i].from)
		i++;
	return arena_printf(page->arena, "%lld %s", (long long)(seconds / units[i].unit), word(page, units[i].word));
}

/* ---- elements ---- */

/* class: of the style, or "". */
static void put_cell(const struct page_out *page, enum word name, const char *class, const char *text, const char *small)
{
	bool figure = name == W_VERIFIED || name == W_AGE || name == W_SIZE || name == W_STARTED;
	buf_printf(page->out, "<td data-name=\"%s\"><div class=\"%s%s\">", word(page, name), class, figure ? " figure" : "");
	html_put(page->out, text);
	if (small && *small) {
		buf_append_text(page->out, "<small>");
		html_put(page->out, small);
		buf_append_text(page->out, "</small>");
	}
	buf_append_text(page->out, "</div></td>");
}

static void put_fact(const struct page_out *page, enum word name, const char *text)
{
	buf_printf(page->out, "<dt>%s</dt><dd>", word(page, name));
	html_put(page->out, text);
	buf_append_text(page->out, "</dd>\n");
}

/* one_more: a column without a name. */
static void put_head(const struct page_out *page, const enum word *names, size_t count, bool one_more)
{
	buf_append_text(page->out, "<table><thead><tr>");
	for (size_t i = 0; i < count; i++)
		buf_printf(page->out, "<th scope=\"col\">%s</th>", word(page, names[i]));
	buf_append_text(page->out, one_more ? "<td></td></tr></thead><tbody>\n" : "</tr></thead><tbody>\n");
}

/* ---- what an administrator sees ---- */

/* Columns of the statements backup_databases and backup_run_list. */
enum { DATABASE_NAME, DATABASE_VERIFIED, DATABASE_AGE, DATABASE_SIZE, DATABASE_ROWS, DATABASE_SIZES, DATABASE_ERROR };
enum { RUN_ID, RUN_TRIGGER, RUN_REASON, RUN_STATE, RUN_STARTED };

static void put_database(const struct page_out *page, const struct backup_source *source, const struct pg_rows *rows, int row, int64_t stale_s)
{
	const char *name = pg_text(rows, row, DATABASE_NAME), *verified = pg_text(rows, row, DATABASE_VERIFIED), *error = pg_text(rows, row, DATABASE_ERROR);
	int64_t age = pg_i64(rows, row, DATABASE_AGE);
	bool never = !verified && !source->postgresql, stale = never || (verified && age > stale_s);
	buf_append_text(page->out, "<tr>");
	put_cell(page, W_DATABASE, "", name, source->description);
	put_cell(page, W_VERIFIED, never ? "bad" : "", verified ? time_text(page, verified) : never ? word(page, W_NEVER) : "–", NULL);
	put_cell(page, W_AGE, stale ? "bad" : verified ? "good" : "", verified ? age_text(page, age) : "–", NULL);
	put_cell(page, W_SIZE, "", verified ? size_text(page->arena, pg_i64(rows, row, DATABASE_SIZE)) : "–", NULL);
	put_cell(page, W_LAST, error ? "bad" : "good", error ? backup_failure_sentence(error, page->language) : word(page, W_GOOD), NULL);
	/* The name holds nothing that an address would not (sources.h). */
	if (verified || source->postgresql)
		buf_printf(page->out, "<td data-name=\"\"><a href=\"/backups/restore-guide/%s\">%s</a></td></tr>\n", name, word(page, W_GUIDE));
	else
		buf_append_text(page->out, "<td></td></tr>\n");
}

static void put_databases(const struct page_out *page, const struct backup_sources *sources, const struct pg_rows *rows, int64_t stale_s)
{
	static const enum word names[] = {W_DATABASE, W_VERIFIED, W_AGE, W_SIZE, W_LAST};
	buf_printf(page->out, "<h2>%s</h2>\n", word(page, W_DATABASES));
	put_head(page, names, sizeof(names) / sizeof(names[0]), true);
	for (int i = 0; i < rows->count; i++) {
		const struct backup_source *source = backup_source_find(sources, pg_text(rows, i, DATABASE_NAME));
		if (source)
			put_database(page, source, rows, i, stale_s);
	}
	buf_append_text(page->out, "</tbody></table>\n");
}

static void put_runs(const struct page_out *page, const struct pg_rows *rows)
{
	static const enum word names[] = {W_STARTED, W_TRIGGER, W_STATE};
	static const struct {
		const char *state, *class;
		enum word word;
	} states[] = {{"running", "warn", W_RUNNING}, {"completed", "good", W_COMPLETED}, {"partial", "warn", W_PARTIAL}, {"failed", "bad", W_FAILED}};
	buf_printf(page->out, "<h2>%s</h2>\n", word(page, W_RUNS));
	if (rows->count == 0)
		buf_printf(page->out, "<p>%s</p>\n", word(page, W_NO_RUNS));
	if (rows->count == 0)
		return;
	put_head(page, names, sizeof(names) / sizeof(names[0]), false);
	for (int i = 0; i < rows->count; i++) {
		buf_append_text(page->out, "<tr>");
		put_cell(page, W_STARTED, "", time_text(page, pg_text(rows, i, RUN_STARTED)), NULL);
		put_cell(page, W_TRIGGER, "", word(page, text_equal(pg_text(rows, i, RUN_TRIGGER), "manual") ? W_MANUAL : W_SCHEDULED), pg_text(rows, i, RUN_REASON));
		for (size_t s = 0; s < sizeof(states) / sizeof(states[0]); s++)
			if (text_equal(pg_text(rows, i, RUN_STATE), states[s].state))
				put_cell(page, W_STATE, states[s].class, word(page, states[s].word), NULL);
		buf_append_text(page->out, "</tr>\n");
	}
	buf_append_text(page->out, "</tbody></table>\n");
}

static enum err put_details(const struct page_out *page, struct request *request, const struct backup_sources *sources)
{
	struct pg *pg = &request->gate->pg;
	struct pg_rows databases, runs;
	enum err err = pg_call(pg, request->arena, &request->scope, STMT_BACKUP_DATABASES, PG_VALUES(backup_names(request->arena, sources, false)), &databases);
	if (!err)
		err = pg_call(pg, request->arena, &request->scope, STMT_BACKUP_RUN_LIST, PG_NONE, &runs);
	if (err)
		return err;
	put_databases(page, sources, &databases, request->gate->config->backups_stale_hours * 3600);
	put_runs(page, &runs);
	return OK;
}

/* ---- the page ---- */

static enum err put_facts(const struct page_out *page, struct request *request, const struct pg_scope *scope, bool any, bool details)
{
	const struct config *config = request->gate->config;
	struct pg_rows totals;
	enum err err = pg_call(&request->gate->pg, request->arena, scope, STMT_BACKUP_TOTALS, PG_VALUES(config->backups_daily_at), &totals);
	if (err)
		return err;
	bool french = page->language == LANGUAGE_FR;
	buf_append_text(page->out, "<dl>\n");
	put_fact(page, W_NOW, word(page, pg_bool(&totals, 0, 0) ? W_RUNNING : W_IDLE));
	put_fact(page, W_NEXT, any ? time_text(page, pg_text(&totals, 0, 5)) : word(page, W_NONE));
	put_fact(page, W_SCHEDULE, arena_printf(page->arena, french ? "chaque jour à %s, archive le dimanche à %s (UTC)" : "every day at %s, archive on Sundays at %s (UTC)",
	                                        config->backups_daily_at, config->backups_weekly_at));
	put_fact(page, W_KEPT,
	         arena_printf(page->arena, french ? "quotidiennes %lld jours, archives hebdomadaires %lld semaines" : "daily backups %lld days, weekly archives %lld weeks",
	                      (long long)config->backups_daily_days, (long long)config->backups_weekly_weeks));
	if (details)
		put_fact(page, W_STORED, arena_printf(page->arena, french ? "%lld sauvegardes, %s" : "%lld backups, %s", (long long)pg_i64(&totals, 0, 1), size_text(page->arena, pg_i64(&totals, 0, 2))));
	buf_append_text(page->out, "</dl>\n");
	return OK;
}

static void put_top(const struct page_out *page, const char *health)
{
	bool good = text_equal(health, "healthy"), bad = text_equal(health, "unhealthy");
	buf_printf(page->out,
	           "<!DOCTYPE html>\n<html lang=\"%s\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	           "<title>%s – Tidegate</title>\n<style>%s</style></head>\n<body>\n<h1>%s</h1>\n<p class=\"state %s\" role=\"status\">%s</p>\n",
	           page->language == LANGUAGE_FR ? "fr" : "en", word(page, W_TITLE), style, word(page, W_TITLE), good ? "good" : bad ? "bad" : "warn",
	           word(page, good ? W_HEALTHY : bad ? W_UNHEALTHY : W_DEGRADED));
}

static void put_bottom(const struct page_out *page, bool details)
{
	if (!details)
		buf_printf(page->out, "<p><a href=\"/backups/?details\">%s</a> <small>%s</small></p>\n", word(page, W_SIGN_IN), word(page, W_SIGN_IN_TEXT));
	buf_printf(page->out, "<footer>%s <a href=\"/api/openapi.yaml\">%s</a>, <a href=\"/backups/health\">%s</a>. Tidegate %s</footer>\n</body>\n</html>\n", word(page, W_MORE),
	           word(page, W_API), word(page, W_HEALTH), TIDEGATE_VERSION);
}

/* The style by its digest: nothing else that a page could be made to hold counts as one. */
static const char *policy(struct arena *arena)
{
	uint8_t digest[SHA256_SIZE];
	struct buf text;
	buf_init(&text, 64);
	sha256_once(style, sizeof(style) - 1, digest);
	base64_encode(&text, digest, sizeof(digest));
	const char *made = arena_printf(arena, "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", buf_text(&text));
	buf_release(&text);
	return made;
}

enum err backup_page(struct request *request, struct response *response)
{
	const struct page_out page = {&response->body, request->arena, request->language};
	struct backup_sources sources;
	bool details = request_param(request, "HTTP_AUTHORIZATION") || request_query(request, "details").p;
	struct pg_scope scope = {"", request->gate->config->backups_space, "worker"};
	const char *health = NULL;
	enum problem problem = details ? guard_check(request, GUARD_ADMIN) : PROBLEM_COUNT;
	if (problem != PROBLEM_COUNT)
		return refuse(response, problem);
	if (details && !text_equal(request->scope.space, request->gate->config->backups_space))
		return refuse(response, PROBLEM_FORBIDDEN);
	if (!backup_load(request, response, &sources))
		return OK;
	enum err err = backup_health_now(request, &health);
	if (!err)
		put_top(&page, health);
	if (!err)
		err = put_facts(&page, request, details ? &request->scope : &scope, sources.count > 0, details);
	if (!err && details)
		err = put_details(&page, request, &sources);
	if (err)
		return err;
	put_bottom(&page, details);
	response->status = 200;
	response->content_type = "text/html; charset=utf-8";
	respond_header(response, "Content-Security-Policy", policy(request->arena));
	respond_header(response, "Content-Language", request->language == LANGUAGE_FR ? "fr" : "en");
	return response->body.overflowed ? ERR_TOO_LARGE : OK;
}
