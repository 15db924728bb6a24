/*
 * tidegate restore: a database out of a backup, into a new file. Works from a file or a plain directory, without PostgreSQL and without a
 * configuration. Must never write over a file that is there, nor leave one under that name that was not verified.
 */
#include "commands/backup.h"
#include "commands/restore_find.h"

#include "core/base/ids.h"
#include "core/base/text.h"
#include "handlers/backups/content.h"
#include "handlers/backups/pack.h"
#include "handlers/backups/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 65536 };

bool load_identity(const char *path, struct age_identity *ret)
{
	char text[KEY_FILE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		complain(EXIT_USAGE, "%s: %s", path, strerror(errno));
	} else {
		text[n] = '\0';
		if (age_identity_parse(text, ret)) {
			complain(EXIT_USAGE, "%s holds no key of age (AGE-SECRET-KEY-1…).", path);
			n = -1;
		}
	}
	explicit_bzero(text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return n >= 0;
}

/* ---- into a file of another name, until it is verified ---- */

static enum err replay_into(struct command *command, int fd, const struct age_identity *identity, const char *path, struct source *source, struct backup_failure *failure)
{
	struct replay replay;
	uint8_t hash[32];
	sqlite3 *db = NULL;
	int result = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	enum err err = result == SQLITE_OK ? replay_prepare(db, failure) : source_failed(db, result, failure);
	replay_start(&replay, db, failure);
	if (!err)
		err = unpack_file(command->arena, fd, identity, replay_sink(&replay));
	if (!err)
		err = replay_finish(&replay, command->arena, source, hash);
	replay_release(&replay);
	sqlite3_close(db);
	return err;
}

/* Everything but one table goes; what a shadow table holds is its virtual table's, which goes as a whole. */
static enum err keep_table(const char *path, const struct source *source, const char *table, struct backup_failure *failure)
{
	sqlite3 *db = NULL;
	struct buf sql;
	buf_init(&sql, 16 << 20);
	buf_append_text(&sql, "PRAGMA foreign_keys=OFF; PRAGMA journal_mode=OFF; BEGIN;");
	for (int i = 0; i < source->object_count; i++) {
		const struct source_object *object = &source->objects[i];
		if (text_equal(object->type, "view") || (!text_equal(object->type, "index") && !text_equal(object->table, table))) {
			char *drop = sqlite3_mprintf("DROP %s IF EXISTS \"%w\";", object->type, object->name);
			buf_append_text(&sql, drop ? drop : "");
			sqlite3_free(drop);
		}
	}
	for (int i = source->table_count - 1; i >= 0; i--) {
		if (source->tables[i].kind == SOURCE_SHADOW || text_equal(source->tables[i].name, table))
			continue;
		char *drop = sqlite3_mprintf("DROP TABLE IF EXISTS \"%w\";", source->tables[i].name);
		buf_append_text(&sql, drop ? drop : "");
		sqlite3_free(drop);
	}
	enum err err = buf_append_text(&sql, "COMMIT; VACUUM;");
	int result = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!err && result == SQLITE_OK)
		result = sqlite3_exec(db, sql.data, NULL, NULL, NULL);
	if (!err && result != SQLITE_OK)
		err = source_failed(db, result, failure);
	sqlite3_close(db);
	buf_release(&sql);
	return err;
}

static bool has_table(const struct source *source, const char *name)
{
	for (int i = 0; i < source->table_count; i++)
		if (text_equal(source->tables[i].name, name))
			return true;
	return false;
}

static int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int failed = fd < 0 || fsync(fd);
	if (fd >= 0)
		close(fd);
	return failed;
}

static int refuse_restore(const char *path, enum err err, const struct backup_failure *failure)
{
	if (failure->code)
		return complain_of_backup(path, err, failure);
	if (err == ERR_DENIED)
		return complain(EXIT_REFUSED, "%s is encrypted: name a file with one of its keys (--identity FILE).", path);
	if (err == ERR_INVALID)
		return complain(EXIT_REFUSED, "%s is damaged or cut short; nothing was restored.", path);
	return complain(EXIT_INTERNAL, "%s: %s", path, err_name(err));
}

static int64_t total_rows(const struct source *source)
{
	int64_t rows = 0;
	for (int i = 0; i < source->table_count; i++)
		rows += source->tables[i].rows;
	return rows;
}

static int restore(struct command *command, int fd, const char *path, const char *to, const char *table, const struct age_identity *identity)
{
	struct backup_failure failure = {0};
	struct source source = {0};
	char id[UUID_SIZE];
	uuid_v4(id);
	const char *part = arena_printf(command->arena, "%s.%.8s.part", to, id);
	enum err err = part ? replay_into(command, fd, identity, part, &source, &failure) : ERR_TOO_LARGE;
	int status = err ? refuse_restore(path, err, &failure) : 0;
	if (!status && table && !has_table(&source, table))
		status = complain(EXIT_REFUSED, "There is no table %s in this backup.", table);
	if (!status && table && keep_table(part, &source, table, &failure))
		status = complain(EXIT_CANNOT_CREATE, "%s: %s", to, failure.detail);
	/* link() fails where the name is taken, rename() would replace. */
	if (!status && (sync_file(part) || link(part, to)))
		status = complain(EXIT_CANNOT_CREATE, "%s: %s", to, strerror(errno));
	unlink(part);
	if (!status)
		printf("%s: %d tables, %lld rows, content verified%s%s\n", to, source.table_count, (long long)total_rows(&source), table ? "; kept only " : "", table ? table : "");
	return status;
}

int command_restore(struct command *command)
{
	const char *date = option_value(command, "--date"), *table = option_value(command, "--table"), *to = option_value(command, "--to");
	const char *key = option_value(command, "--identity"), *label = NULL;
	struct restore_place place = {.from = option_value(command, "--from"), .store = option_flag(command, "--store"), .replica = option_flag(command, "--replica")};
	struct age_identity identity;
	if (command->argc != 2 || !to || (place.from != NULL) + place.store + place.replica > 1)
		return complain(EXIT_USAGE, "restore FILE | DATABASE [--from DIRECTORY | --store | --replica] [--date YYYY-MM-DD] --to NEW-FILE [--table NAME] [--identity KEY-FILE]");
	if (access(to, F_OK) == 0)
		return complain(EXIT_CANNOT_CREATE, "%s is there already; a restore only makes new files.", to);
	if (key && !load_identity(key, &identity))
		return EXIT_USAGE;
	int fd = -1, status = restore_find(command, &place, command->argv[1], date, &label, &fd);
	if (!status)
		status = restore(command, fd, label, to, table, key ? &identity : NULL);
	if (fd >= 0)
		close(fd);
	if (key)
		age_identity_wipe(&identity);
	return status;
}
