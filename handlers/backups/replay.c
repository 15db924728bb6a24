/*
 * Finds the statements of a dump and runs them. Called by `tidegate restore` and by test restores. Must never run what follows a broken statement, nor
 * call a dump whole for a mark that stands in its data.
 */
#include "handlers/backups/replay.h"

#include "core/base/text.h"
#include "handlers/backups/content.h"
#include "handlers/backups/dump.h"

#include <string.h>

enum { CREATE = 6 };

/* VACUUM INTO and ATTACH would reach other files; the limit on attached databases refuses both. */
static int authorize(void *context, int action, const char *first, const char *second, const char *schema, const char *through)
{
	(void)context, (void)first, (void)second, (void)schema, (void)through;
	return action == SQLITE_ATTACH || action == SQLITE_DETACH ? SQLITE_DENY : SQLITE_OK;
}

enum err replay_prepare(sqlite3 *db, struct backup_failure *failure)
{
	static const char settings[] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-16384; PRAGMA temp_store=FILE;";
	int on = 0;
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, &on);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &on);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, &on); /* rows of shadow tables are written */
	int result = sqlite3_exec(db, settings, NULL, NULL, NULL);
	sqlite3_set_authorizer(db, authorize, NULL);
	return result == SQLITE_OK ? OK : source_failed(db, result, failure);
}

void replay_start(struct replay *replay, sqlite3 *db, struct backup_failure *failure)
{
	*replay = (struct replay){.db = db, .failure = failure};
	buf_init(&replay->statement, REPLAY_STATEMENT_MAX);
}

void replay_release(struct replay *replay)
{
	buf_release(&replay->statement);
}

/* ---- statements ---- */

static enum err failed(struct replay *replay, int result)
{
	if ((result & 0xff) == SQLITE_FULL || (result & 0xff) == SQLITE_IOERR) {
		backup_refuse(replay->failure, "disk_full", sqlite3_errmsg(replay->db));
		return ERR_IO;
	}
	if ((result & 0xff) == SQLITE_NOMEM) {
		backup_refuse(replay->failure, "no_memory", sqlite3_errmsg(replay->db));
		return ERR_TOO_LARGE;
	}
	return backup_refuse(replay->failure, "restore_failed", sqlite3_errmsg(replay->db));
}

static enum err run(struct replay *replay)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(replay->db, replay->statement.data, (int)replay->statement.len + 1, &statement, NULL);
	if (result == SQLITE_OK && !statement)
		result = SQLITE_DONE; /* a semicolon alone */
	while (result == SQLITE_OK || result == SQLITE_ROW)
		result = sqlite3_step(statement);
	sqlite3_finalize(statement);
	replay->statements++;
	replay->has_words = false;
	buf_clear(&replay->statement);
	if (replay->statement.room > 1 << 20)
		buf_release(&replay->statement);
	return result == SQLITE_DONE ? OK : failed(replay, result);
}

/* A semicolon outside of texts ends all statements but those that make triggers, which hold some. */
static bool is_whole(const struct replay *replay)
{
	const char *text = replay->statement.data;
	for (;;) {
		text += strspn(text, " \t\r\n");
		if (text[0] != '-' || text[1] != '-')
			break;
		text += strcspn(text, "\n");
	}
	return sqlite3_strnicmp(text, "CREATE", CREATE) != 0 || sqlite3_complete(replay->statement.data);
}

/* A comment that stands by itself has ended. */
static void note_comment(struct replay *replay)
{
	const char *comment = replay->statement.data + replay->comment_at;
	size_t n = replay->statement.len - replay->comment_at, mark = strlen(DUMP_HASH_MARK);
	if (replay->has_words || n != mark + 64 || memcmp(comment, DUMP_HASH_MARK, mark) != 0)
		return;
	memcpy(replay->hash, comment + mark, 64);
	replay->said = true;
}

/* ---- the words of a dump ---- */

/* Inside a quoted text or a comment: takes what belongs to it, its end included. */
static size_t take_quoted(struct replay *replay, const char *bytes, size_t n)
{
	int end = replay->state == '[' ? ']' : replay->state == '-' ? '\n' : replay->state == '*' ? '/' : replay->state;
	const char *found = memchr(bytes, end, n);
	size_t taken = found ? (size_t)(found - bytes) + 1 : n;
	char before = replay->before;
	if (found && found > bytes)
		before = found[-1];
	if (found && replay->state == '-') {
		buf_append(&replay->statement, bytes, taken - 1);
		note_comment(replay);
		buf_append_char(&replay->statement, '\n');
	} else {
		buf_append(&replay->statement, bytes, taken);
	}
	if (found && (replay->state != '*' || before == '*'))
		replay->state = 0;
	replay->before = bytes[taken - 1];
	if (!replay->state)
		replay->before = 0;
	return taken;
}

static enum err take_plain(struct replay *replay, char c)
{
	buf_append_char(&replay->statement, c);
	char before = replay->before;
	replay->before = c;
	if ((c == '-' && before == '-') || (c == '*' && before == '/')) {
		replay->state = c;
		replay->before = 0;
		replay->comment_at = replay->statement.len - 2;
		return OK;
	}
	if (c == '\'' || c == '"' || c == '`' || c == '[') {
		replay->state = c;
		replay->has_words = true;
	}
	if (c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '-' && c != '/')
		replay->has_words = true;
	if (replay->has_words)
		replay->said = false;
	return c == ';' && is_whole(replay) ? run(replay) : OK;
}

/* Names, numbers and what stands between them: nothing that begins or ends anything. Rows are made of such runs and of quoted texts. */
static size_t take_words(struct replay *replay, const char *bytes, size_t n)
{
	static const bool ends[256] = {['\''] = true, ['"'] = true, ['`'] = true, ['['] = true, [';'] = true, ['-'] = true, ['/'] = true, ['*'] = true,
	                               [' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true};
	size_t taken = 0;
	while (taken < n && !ends[(unsigned char)bytes[taken]])
		taken++;
	if (taken == 0)
		return 0;
	buf_append(&replay->statement, bytes, taken);
	replay->before = bytes[taken - 1];
	replay->has_words = true;
	replay->said = false;
	return taken;
}

static enum err take(void *context, const void *bytes, size_t n)
{
	struct replay *replay = context;
	const char *from = bytes;
	enum err err = OK;
	while (!err && n) {
		size_t taken = replay->state ? take_quoted(replay, from, n) : take_words(replay, from, n);
		if (!taken) {
			err = take_plain(replay, *from);
			taken = 1;
		}
		from += taken;
		n -= taken;
		if (!err && replay->statement.overflowed)
			err = backup_refuse(replay->failure, "restore_failed", "a statement that is too long");
	}
	return err;
}

struct sink replay_sink(struct replay *replay)
{
	return (struct sink){take, replay};
}

/* ---- the end ---- */

enum err backup_quick_check(sqlite3 *db, const char *code, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	enum err err = OK;
	if (result != SQLITE_ROW)
		err = source_failed(db, result, failure);
	else if (!text_equal((const char *)sqlite3_column_text(statement, 0), "ok"))
		err = backup_refuse(failure, code, (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return err;
}

enum err replay_finish(struct replay *replay, struct arena *arena, struct source *ret_source, uint8_t ret_hash[32])
{
	uint8_t said[32];
	if (replay->state || replay->has_words || !replay->said || !sqlite3_get_autocommit(replay->db) || hex_decode(replay->hash, 64, said, sizeof(said)))
		return backup_refuse(replay->failure, "dump_not_whole", "the last comment of the dump is missing");
	enum err err = backup_quick_check(replay->db, "restore_failed", replay->failure);
	if (!err)
		err = content_of(replay->db, arena, ret_source, ret_hash, replay->failure);
	if (!err && memcmp(said, ret_hash, sizeof(said)) != 0)
		err = backup_refuse(replay->failure, "content_differs", "the restored database does not hold what the dump says");
	return err;
}
