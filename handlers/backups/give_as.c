/*
 * Downloads in another form than the stored one: packed otherwise, one table, or for D1. The result is an object of its own, handed out like any other. Must never hand out in
 * the clear what is encrypted, unless the operator has put a key on this server.
 */
#include "core/base/ids.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/backups/convert.h"
#include "handlers/backups/handlers.h"

#include <string.h>

struct wish {
	struct request *request;
	struct response *response;
	const char *database, *day, *table;
	const struct pg_rows *rows;
	bool d1;
	int64_t life_s;
	const char *url;
	struct backup_base base;
	struct pieces pieces;
	struct conversion conversion;
};

/* The manifest's content; false after a refusal, or with *ret_err. */
static bool read_content(struct wish *wish, enum err *ret_err)
{
	struct request *request = wish->request;
	struct pg_rows rows;
	json_t *content = NULL;
	const char *why = NULL;
	*ret_err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_CONTENT, PG_VALUES(pg_text(wish->rows, 0, FOUND_ID)), &rows);
	if (*ret_err)
		return false;
	const char *text = rows.count ? pg_text(&rows, 0, 0) : NULL;
	if (!text) {
		refuse(wish->response, PROBLEM_BACKUP_NOT_DIVISIBLE);
		return false;
	}
	*ret_err = json_parse(request->arena, text, strlen(text), &content, &why);
	wish->conversion.content = content;
	return !*ret_err;
}

static bool plan(struct wish *wish, enum err *ret_err)
{
	const char *why = "";
	if (!wish->table && !wish->d1)
		return true;
	enum err err = pieces_plan(wish->request->arena, wish->conversion.content, wish->table, wish->d1, &wish->pieces, &why);
	wish->conversion.pieces = &wish->pieces;
	if (err == ERR_NOT_FOUND)
		*ret_err = refuse_with(wish->response, PROBLEM_BACKUP_NO_TABLE, "available", why);
	else if (err == ERR_CONFLICT)
		*ret_err = refuse_field(wish->response, PROBLEM_BACKUP_PROFILE_REFUSED, "profile", why);
	else if (err == ERR_INVALID)
		*ret_err = refuse(wish->response, PROBLEM_BACKUP_NOT_DIVISIBLE);
	else
		*ret_err = err;
	return !err;
}

static bool choose_form(struct wish *wish, const char *as)
{
	const struct config *config = wish->request->gate->config;
	struct age_recipient recipients[AGE_RECIPIENTS_MAX];
	size_t count = 0;
	wish->conversion.form = !as || text_equal(as, "sql") ? CONVERT_SQL : text_equal(as, "zst") ? CONVERT_ZST : CONVERT_AGE;
	if (wish->conversion.form != CONVERT_AGE || (!age_recipients_parse(config->backups_recipients, recipients, &count) && count))
		return true;
	refuse_field(wish->response, PROBLEM_INVALID_FIELD, "as", "age needs keys to encrypt to, in backups.recipients");
	return false;
}

static bool fits(struct wish *wish)
{
	int64_t all = json_integer_value(json_object_get(wish->conversion.content, "bytes"));
	bool whole = !wish->conversion.pieces || pg_bool(wish->rows, 0, FOUND_ENCRYPTED);
	all += wish->base.bytes;
	if ((whole ? all : wish->pieces.bytes) <= wish->request->gate->config->backups_convert_bytes)
		return true;
	refuse(wish->response, PROBLEM_BACKUP_TOO_LARGE);
	return false;
}

static bool find_key(struct wish *wish, struct age_identity *identity)
{
	const struct config *config = wish->request->gate->config;
	struct backup_failure failure = {0};
	if (!pg_bool(wish->rows, 0, FOUND_ENCRYPTED))
		return true;
	if (*config->backups_identity_file && !backup_load_key(config, identity, &failure)) {
		wish->conversion.identity = identity;
		return true;
	}
	refuse(wish->response, PROBLEM_BACKUP_KEY_MISSING);
	return false;
}

static enum err hand_out(struct wish *wish)
{
	static const char *const ends[] = {".sql", ".sql.zst", ".sql.zst.age"};
	struct request *request = wish->request;
	const struct config *config = request->gate->config;
	const char *end = ends[wish->conversion.form];
	const char *name = arena_printf(request->arena, "%s-%s%s%s%s%s", wish->database, wish->day, wish->table ? "." : "", wish->table ? wish->table : "", wish->d1 ? ".d1" : "", end);
	return name ? store_presign_get(request->arena, config, wish->conversion.key, name, "application/octet-stream", wish->life_s, &wish->url) : ERR_TOO_LARGE;
}

static enum err make(struct wish *wish)
{
	struct request *request = wish->request;
	struct conversion *conversion = &wish->conversion;
	char id[UUID_SIZE];
	struct config from;
	uuid_v4(id);
	enum err err = backup_find_store(request, wish->rows, &from);
	conversion->config = request->gate->config;
	conversion->from = &from;
	conversion->object = (struct stored_object){pg_text(wish->rows, 0, FOUND_KEY), pg_text(wish->rows, 0, FOUND_SHA256), pg_i64(wish->rows, 0, FOUND_SIZE)};
	conversion->key = arena_printf(request->arena, "made/%s-%s-%s", id, wish->database, wish->day);
	if (!err && !conversion->key)
		err = ERR_TOO_LARGE;
	if (!err)
		err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_MADE, PG_VALUES(conversion->key, wish->database, wish->day), NULL);
	if (!err)
		err = convert_backup(request->arena, conversion);
	if (err == ERR_NOT_FOUND || err == ERR_INVALID)
		return refuse(wish->response, PROBLEM_BACKUP_LOST);
	if (err == ERR_DENIED)
		return refuse(wish->response, PROBLEM_BACKUP_KEY_MISSING);
	if (err == ERR_TOO_LARGE && wish->pieces.too_long)
		return refuse_field(wish->response, PROBLEM_BACKUP_PROFILE_REFUSED, "profile",
		                    arena_printf(request->arena, "a row of the table %s is longer than the %d bytes of a statement there", wish->pieces.too_long, PIECES_D1_STATEMENT));
	return err ? err : hand_out(wish);
}

static bool read_base(struct wish *wish, enum err *ret_err)
{
	struct request *request = wish->request;
	const char *id = pg_text(wish->rows, 0, FOUND_BASE);
	struct pg_rows rows;
	if (!id)
		return true;
	*ret_err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_BASE_OF, PG_VALUES(id), &rows);
	if (*ret_err)
		return false;
	base_read(&rows, &wish->base);
	wish->conversion.base = &wish->base;
	return true;
}

/* wish->url NULL: refused. */
static enum err fulfil(struct wish *wish, const char *as)
{
	struct age_identity identity;
	enum err err = OK;
	if (!choose_form(wish, as) || !read_content(wish, &err) || !read_base(wish, &err) || !plan(wish, &err) || !fits(wish) || !find_key(wish, &identity))
		return err;
	err = make(wish);
	if (wish->conversion.identity)
		age_identity_wipe(&identity);
	return err;
}

enum err backup_full_url(struct request *request, struct response *response, const char *database, const char *day, const struct pg_rows *rows, int64_t life_s, const char **ret_url)
{
	struct wish *wish = arena_alloc(request->arena, sizeof(*wish));
	if (!wish)
		return ERR_TOO_LARGE;
	*wish = (struct wish){.request = request, .response = response, .database = database, .day = day, .rows = rows, .life_s = life_s};
	enum err err = fulfil(wish, backup_stored_form(pg_text(rows, 0, FOUND_KEY)));
	*ret_url = wish->url;
	return err;
}

enum err backup_give_as(struct request *request, struct response *response, const char *database, const char *day, const struct pg_rows *rows, const char *as, const char *table,
                        bool d1)
{
	struct wish *wish = arena_alloc(request->arena, sizeof(*wish));
	if (!wish)
		return ERR_TOO_LARGE;
	*wish = (struct wish){
	    .request = request, .response = response, .database = database, .day = day, .table = table, .rows = rows, .d1 = d1, .life_s = request->gate->config->download_url_life_s};
	enum err err = fulfil(wish, as);
	if (err || !wish->url)
		return err;
	response->status = 302;
	respond_header(response, "Location", wish->url);
	respond_header(response, "Cache-Control", "no-store");
	return OK;
}
