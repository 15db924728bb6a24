/*
 * backup.reconcile: the inventory is compared with what lies in the store. What is gone or has another size is good no more; what the inventory does not know is told, and taken in
 * or deleted only where the operator says so. Also called by `tidegate backup reconcile`. Must never touch an object that may be on its way, nor take one in without its bytes being
 * those of its manifest.
 */
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/store/store.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/handlers.h"
#include "handlers/backups/manifest.h"

#include <string.h>
#include <unistd.h>

enum { PAGE = 1000, HELD_MAX = 10000, TOLD_MAX = 20, PAGE_ARENA = 8 << 20, MANIFEST_MAX = 16 << 20, ADOPT_ARENA = 96 << 20 };

struct held {
	const char *key;
	int64_t size, modified;
};

struct reconcile {
	struct pg *pg;
	const struct config *config;
	enum backup_untracked action;
	void (*tell)(const char *what, const char *key, int64_t size);
	struct backup_reconciled *counts;
	struct arena *arena; /* of held keys */
	struct held *held;
	size_t held_count;
	struct arena page; /* of the page that is being filled */
	const char **keys, **sizes, **modified;
	size_t page_count;
};

bool backup_untracked_of(const char *name, enum backup_untracked *ret)
{
	static const char *const names[] = {[UNTRACKED_REPORT] = "report", [UNTRACKED_ADOPT] = "adopt", [UNTRACKED_DELETE] = "delete"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_equal(names[i], name)) {
			*ret = (enum backup_untracked)i;
			return true;
		}
	return false;
}

/* ---- what is lost ---- */

/* The copy of an object that ought to have one. A second store that does not answer says nothing. */
static enum err look_at_copy(struct reconcile *reconcile, struct arena *arena, const struct stored_object *object, const char *id)
{
	struct config replica;
	int64_t size = -1;
	if (backup_second_store(arena, reconcile->config, &replica))
		return OK;
	enum err there = store_look(&replica, object->key, &size);
	const char *code = there == ERR_NOT_FOUND ? "replica_missing" : !there && size != object->size ? "replica_damaged" : NULL;
	return code ? pg_query(reconcile->pg, arena, STMT_BACKUP_REPLICA_FAILED, PG_VALUES(id, code), NULL) : OK;
}

static enum err look_for_lost(struct reconcile *reconcile, struct arena *arena)
{
	struct pg_rows rows;
	enum err err = pg_query(reconcile->pg, arena, STMT_BACKUP_INVENTORY, PG_VALUES(reconcile->config->backups_space), &rows);
	for (int i = 0; !err && i < rows.count; i++) {
		const struct stored_object object = {pg_text(&rows, i, 1), pg_text(&rows, i, 4), pg_i64(&rows, i, 2)};
		enum err there = backup_bring_back(arena, reconcile->config, &object, pg_bool(&rows, i, 5));
		const char *code = there == ERR_NOT_FOUND ? "object_missing" : there == ERR_INVALID ? "object_damaged" : NULL;
		if (code) {
			reconcile->tell(code, object.key, object.size);
			reconcile->counts->lost++;
			err = pg_query(reconcile->pg, arena, STMT_BACKUP_LOST, PG_VALUES(pg_text(&rows, i, 0), code), NULL);
		} else {
			err = there; /* a store that does not answer says nothing */
		}
		if (!err && pg_bool(&rows, i, 5))
			err = look_at_copy(reconcile, arena, &object, pg_text(&rows, i, 0));
	}
	return err;
}

/* ---- what is not known ---- */

static enum err flush_page(struct reconcile *reconcile)
{
	struct pg_rows rows = {0};
	const char *keys = pg_text_array(&reconcile->page, reconcile->keys, reconcile->page_count), *sizes = pg_text_array(&reconcile->page, reconcile->sizes, reconcile->page_count);
	const char *modified = pg_text_array(&reconcile->page, reconcile->modified, reconcile->page_count);
	enum err err = !reconcile->page_count ? OK : keys && sizes && modified ? pg_query(reconcile->pg, &reconcile->page, STMT_BACKUP_UNTRACKED,
	               PG_VALUES(keys, sizes, modified, pg_number(&reconcile->page, reconcile->config->backups_untracked_grace_h)), &rows) : ERR_TOO_LARGE;
	for (int i = 0; !err && i < rows.count; i++) {
		struct held *held = &reconcile->held[reconcile->held_count];
		reconcile->counts->untracked++;
		reconcile->counts->untracked_bytes += pg_i64(&rows, i, 1);
		if (reconcile->held_count == HELD_MAX)
			continue;
		*held = (struct held){arena_strdup(reconcile->arena, pg_text(&rows, i, 0)), pg_i64(&rows, i, 1), pg_i64(&rows, i, 2)};
		if (!held->key)
			return ERR_TOO_LARGE;
		reconcile->held_count++;
	}
	arena_reset(&reconcile->page);
	reconcile->page_count = 0;
	return err;
}

/* What is no key of ours is shown with question marks, which no key has: it can only be told. */
static const char *shown(struct arena *arena, const char *key)
{
	char *text = arena_strdup(arena, key);
	if (!text || store_key_valid(key))
		return text;
	for (char *c = text; *c; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	return store_key_valid(text) ? arena_join(arena, text, "?", "") : text;
}

static enum err seen(void *context, const struct store_entry *entry)
{
	struct reconcile *reconcile = context;
	size_t i = reconcile->page_count++;
	reconcile->keys[i] = shown(&reconcile->page, entry->key);
	reconcile->sizes[i] = pg_number(&reconcile->page, entry->size);
	reconcile->modified[i] = pg_number(&reconcile->page, entry->modified);
	if (!reconcile->keys[i])
		return ERR_TOO_LARGE;
	return reconcile->page_count == PAGE ? flush_page(reconcile) : OK;
}

/* ---- what is taken in ---- */

static enum err read_manifest(const struct config *config, struct arena *arena, const char *key, json_t **ret, const char **ret_text)
{
	const char *beside = arena_join(arena, key, MANIFEST_SUFFIX, "");
	char *text = arena_alloc(arena, MANIFEST_MAX);
	int fd = -1;
	size_t n = 0;
	enum err err = beside && text ? store_open(config, beside, 0, &fd) : ERR_TOO_LARGE;
	for (ssize_t got = 1; !err && got > 0 && n < MANIFEST_MAX - 1; n += got > 0 ? (size_t)got : 0) {
		got = read(fd, text + n, MANIFEST_MAX - 1 - n);
		err = got < 0 ? ERR_IO : OK;
	}
	if (fd >= 0)
		close(fd);
	if (!err)
		text[n] = '\0';
	*ret_text = text;
	return err ? err : json_parse(arena, text, n, ret, NULL);
}

/* daily/DAY/DATABASE, then what follows a name in a key (job_database.c, rewrap.c). */
static bool is_key_of(const char *key, const char *day, const char *database)
{
	size_t n = strlen(database);
	return backup_is_day(day) && text_starts_with(key, "daily/") && strncmp(key + 6, day, 10) == 0 && key[16] == '/' && strncmp(key + 17, database, n) == 0 &&
	       (key[17 + n] == '.' || key[17 + n] == '-' || key[17 + n] == '~');
}

static bool bytes_are(const struct config *config, const char *key, int64_t size, const char *sha256)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE] = "";
	int64_t found = -1;
	int fd = -1;
	enum err err = store_open(config, key, 0, &fd);
	if (!err)
		err = sha256_fd(fd, digest, &found);
	if (fd >= 0)
		close(fd);
	if (!err)
		hex_encode(digest, sizeof(digest), hex);
	return !err && found == size && text_equal(hex, sha256);
}

static const char *recipients_of(struct arena *arena, const json_t *manifest)
{
	const char *names[AGE_RECIPIENTS_MAX];
	const json_t *list = json_object_get(manifest, "recipients");
	size_t count = json_array_size(list);
	for (size_t i = 0; i < count && i < AGE_RECIPIENTS_MAX; i++) {
		names[i] = json_string_value(json_array_get(list, i));
		if (!names[i])
			return NULL;
	}
	return count <= AGE_RECIPIENTS_MAX ? pg_text_array(arena, names, count) : NULL;
}

/*
 * Of a database that is configured, with a manifest that says the same as key and bytes, and that a test restore can be compared with: of an encrypted dump of SQLite the
 * manifest in the store says nothing of the content. *ret: it was taken in.
 */
static enum err adopt(struct reconcile *reconcile, struct arena *arena, const struct backup_sources *sources, const struct held *held, bool *ret)
{
	json_t *manifest = NULL;
	struct pg_rows rows;
	const char *text = NULL;
	if (!store_key_valid(held->key) || !text_starts_with(held->key, "daily/"))
		return OK;
	enum err err = read_manifest(reconcile->config, arena, held->key, &manifest, &text);
	if (err)
		return err == ERR_NOT_FOUND || err == ERR_INVALID || err == ERR_TOO_LARGE ? OK : err;
	const char *database = json_text(manifest, "database"), *day = json_text(manifest, "date"), *sha256 = json_text(manifest, "sha256");
	const struct backup_source *source = database ? backup_source_find(sources, database) : NULL;
	const json_t *content = json_object_get(manifest, "content");
	const char *hash = json_text(content, "hash"), *recipients = recipients_of(arena, manifest);
	if (json_object_get(manifest, "base")) /* differential: its base may be gone */
		return OK;
	if (!source || !sha256 || !recipients || (!hash && !source->postgresql) || !day || !is_key_of(held->key, day, database) || !text_equal(json_text(manifest, "key"), held->key) ||
	    json_integer_value(json_object_get(manifest, "size")) != held->size || !bytes_are(reconcile->config, held->key, held->size, sha256))
		return OK;
	err = pg_query(reconcile->pg, arena, STMT_BACKUP_ADOPT,
	               PG_VALUES(reconcile->config->backups_space, database, day, held->key, pg_number(arena, held->size), sha256, hash,
	                         hash ? pg_number(arena, json_integer_value(json_object_get(content, "rows"))) : NULL,
	                         hash ? pg_number(arena, (int64_t)json_array_size(json_object_get(content, "tables"))) : NULL, recipients, text, pg_number(arena, held->modified)),
	               &rows);
	*ret = !err && rows.count == 1;
	return err;
}

static enum err remove_object(struct reconcile *reconcile, struct arena *arena, const struct held *held, bool *ret)
{
	struct pg_rows rows;
	if (!store_key_valid(held->key))
		return OK;
	enum err err = pg_query(reconcile->pg, arena, STMT_BACKUP_MAY_REMOVE, PG_VALUES(held->key), &rows);
	if (err || !pg_bool(&rows, 0, 0))
		return err;
	err = store_delete(reconcile->config, held->key);
	*ret = !err;
	return err == ERR_DENIED ? OK : err; /* a lock of the store: later, or never */
}

/* ---- all of it ---- */

static bool is_manifest_of(const char *key, const char *object)
{
	size_t n = object ? strlen(object) : 0;
	return n && strncmp(key, object, n) == 0 && text_equal(key + n, MANIFEST_SUFFIX);
}

/* What was held, in the order of keys: a manifest comes right after its object, and goes where that went. */
static enum err act(struct reconcile *reconcile, const struct backup_sources *sources, const char **told, size_t *told_count)
{
	struct backup_reconciled *counts = reconcile->counts;
	const char *adopted = NULL;
	enum err err = OK;
	for (size_t i = 0; !err && i < reconcile->held_count; i++) {
		const struct held *held = &reconcile->held[i];
		struct arena arena;
		bool done = is_manifest_of(held->key, adopted);
		arena_init(&arena, ADOPT_ARENA);
		if (!done && reconcile->action == UNTRACKED_ADOPT) {
			err = adopt(reconcile, &arena, sources, held, &done);
			adopted = done ? held->key : adopted;
			counts->adopted += done;
		} else if (!done && reconcile->action == UNTRACKED_DELETE) {
			err = remove_object(reconcile, &arena, held, &done);
			counts->removed += done;
		}
		arena_release(&arena);
		reconcile->tell(!done ? "untracked" : reconcile->action == UNTRACKED_ADOPT ? "adopted" : "deleted", held->key, held->size);
		counts->untracked -= done;
		counts->untracked_bytes -= done ? held->size : 0;
		if (!done && *told_count < TOLD_MAX)
			told[(*told_count)++] = held->key;
	}
	return err;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct held *)a)->key, ((const struct held *)b)->key);
}

enum err backup_reconcile(struct pg *pg, struct arena *arena, const struct config *config, enum backup_untracked action, void (*tell)(const char *what, const char *key, int64_t size),
                          struct backup_reconciled *ret, const char **ret_keys)
{
	static const char *const prefixes[] = {"daily/", "weekly/"};
	struct backup_sources sources;
	const char *why = NULL, *told[TOLD_MAX];
	size_t told_count = 0;
	struct reconcile reconcile = {.pg = pg, .config = config, .action = action, .tell = tell, .counts = ret, .arena = arena};
	*ret = (struct backup_reconciled){0};
	reconcile.held = arena_array(arena, HELD_MAX, sizeof(*reconcile.held));
	reconcile.keys = arena_array(arena, PAGE, sizeof(*reconcile.keys));
	reconcile.sizes = arena_array(arena, PAGE, sizeof(*reconcile.sizes));
	reconcile.modified = arena_array(arena, PAGE, sizeof(*reconcile.modified));
	if (!reconcile.held || !reconcile.keys || !reconcile.sizes || !reconcile.modified)
		return ERR_TOO_LARGE;
	enum err err = backup_sources_load(arena, config, &sources, &why);
	if (!err)
		err = look_for_lost(&reconcile, arena);
	arena_init(&reconcile.page, PAGE_ARENA);
	for (size_t i = 0; !err && i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		err = store_list(config, prefixes[i], seen, &reconcile);
		if (!err)
			err = flush_page(&reconcile);
	}
	arena_release(&reconcile.page);
	if (!err && reconcile.held_count)
		qsort(reconcile.held, reconcile.held_count, sizeof(*reconcile.held), by_key);
	if (!err)
		err = act(&reconcile, &sources, told, &told_count);
	*ret_keys = pg_text_array(arena, told, told_count);
	return err || *ret_keys ? err : ERR_TOO_LARGE;
}

static void tell_log(const char *what, const char *key, int64_t size)
{
	log_write(LOG_LEVEL_WARN, "backup_reconcile", LOG_TEXT("what", what), LOG_TEXT("key", key), LOG_INT("bytes", size));
}

enum err backup_reconcile_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct backup_reconciled counts;
	enum backup_untracked action = UNTRACKED_REPORT;
	const char *keys = NULL;
	bool known = backup_untracked_of(worker->config->backups_untracked, &action);
	enum err err = known ? backup_reconcile(&worker->pg, arena, worker->config, action, tell_log, &counts, &keys) : ERR_BUG;
	if (!err)
		err = pg_begin(&worker->pg, NULL);
	if (!err && counts.untracked)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_UNTRACKED_TOLD,
		               PG_VALUES(worker->config->backups_space, pg_number(arena, counts.untracked), pg_number(arena, counts.untracked_bytes), keys), NULL);
	if (!err)
		err = job_end(worker, arena, job, "done");
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	return err;
}
