/*
 * tidegate restore: a database out of a backup, into a new file. Works from a file or a plain directory, without PostgreSQL and without a
 * configuration. Must never write over a file that is there, nor leave one under that name that was not verified.
 */
#include "commands/backup.h"
#include "commands/restore_find.h"

#include "core/base/ids.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include "handlers/backups/content.h"
#include "handlers/backups/dump.h"
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

/* What is said at the beginning of a differential backup. */
struct beginning {
	char text[2048];
	size_t n;
	char key[STORE_KEY_MAX + 1], hash[65];
};

static enum err take_beginning(void *context, const void *bytes, size_t n)
{
	struct beginning *beginning = context;
	size_t room = sizeof(beginning->text) - 1 - beginning->n, taken = n < room ? n : room;
	memcpy(beginning->text + beginning->n, bytes, taken);
	beginning->n += taken;
	return beginning->n == sizeof(beginning->text) - 1 ? ERR_LIMITED : OK; /* enough */
}

/* *ret_key NULL: a full backup, or one that cannot be read, which the restore will say. */
static enum err look_for_base(struct command *command, int fd, const struct age_identity *identity, struct beginning *beginning, const char **ret_key)
{
	*beginning = (struct beginning){0};
	*ret_key = NULL;
	enum err err = unpack_file(command->arena, fd, identity, (struct sink){take_beginning, beginning});
	if (lseek(fd, 0, SEEK_SET) < 0)
		return ERR_IO;
	const char *title = strstr(beginning->text, DUMP_DIFFERENCE_TITLE), *mark = strstr(beginning->text, "\n" DUMP_BASE_MARK);
	if ((err && err != ERR_LIMITED) || !title || title - beginning->text > 100 || !mark)
		return OK;
	mark += 1 + strlen(DUMP_BASE_MARK);
	size_t n = strcspn(mark, " \n");
	if (n > STORE_KEY_MAX || mark[n] != ' ' || strlen(mark + n + 1) < 65 || mark[n + 65] != '\n')
		return ERR_INVALID;
	snprintf(beginning->key, sizeof(beginning->key), "%.*s", (int)n, mark);
	snprintf(beginning->hash, sizeof(beginning->hash), "%.64s", mark + n + 1);
	*ret_key = beginning->key;
	return store_key_valid(beginning->key) ? OK : ERR_INVALID;
}

struct stream {
	int fd, base; /* base -1: a full backup */
	const char *base_hash;
	const struct age_identity *identity;
};

static enum err replay_into(struct command *command, const struct stream *from, const char *path, struct source *source, struct backup_failure *failure)
{
	struct replay replay;
	uint8_t hash[32];
	sqlite3 *db = NULL;
	int result = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	enum err err = result == SQLITE_OK ? replay_prepare(db, failure) : source_failed(db, result, failure);
	replay_start(&replay, db, failure);
	if (!err && from->base >= 0)
		err = unpack_file(command->arena, from->base, from->identity, replay_sink(&replay));
	if (!err && from->base >= 0 && (!replay.said || strncmp(replay.hash, from->base_hash, 64) != 0))
		err = backup_refuse(failure, "content_differs", "the full backup is not the one that the differential one stands on");
	if (!err)
		err = unpack_file(command->arena, from->fd, from->identity, replay_sink(&replay));
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

static int restore(struct command *command, const struct stream *from, const char *path, const char *to, const char *table)
{
	struct backup_failure failure = {0};
	struct source source = {0};
	char id[UUID_SIZE];
	uuid_v4(id);
	const char *part = arena_printf(command->arena, "%s.%.8s.part", to, id);
	if (!part)
		return complain(EXIT_INTERNAL, "no memory");
	enum err err = replay_into(command, from, part, &source, &failure);
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

/* base: the file that was named, or NULL. */
static int open_base(struct command *command, const struct restore_place *place, struct stream *from, struct beginning *beginning, const char *label, const char *base)
{
	const char *key = NULL;
	if (look_for_base(command, from->fd, from->identity, beginning, &key))
		return complain(EXIT_REFUSED, "%s is damaged or cut short; nothing was restored.", label);
	if (!key)
		return 0;
	if (!base)
		return restore_find_base(command, place, label, key, &from->base);
	from->base = open(base, O_RDONLY | O_CLOEXEC);
	return from->base < 0 ? complain(EXIT_REFUSED, "%s: %s", base, strerror(errno)) : 0;
}

int command_restore(struct command *command)
{
	const char *date = option_value(command, "--date"), *table = option_value(command, "--table"), *to = option_value(command, "--to");
	const char *key = option_value(command, "--identity"), *base = option_value(command, "--base"), *label = NULL;
	struct restore_place place = {.from = option_value(command, "--from"), .store = option_flag(command, "--store"), .replica = option_flag(command, "--replica")};
	struct age_identity identity;
	if (command->argc != 2 || !to || (place.from != NULL) + place.store + place.replica > 1)
		return complain(EXIT_USAGE, "restore FILE | DATABASE [--from DIRECTORY | --store | --replica] [--date YYYY-MM-DD] --to NEW-FILE [--table NAME] [--identity KEY-FILE] [--base FILE]");
	if (access(to, F_OK) == 0)
		return complain(EXIT_CANNOT_CREATE, "%s is there already; a restore only makes new files.", to);
	if (key && !load_identity(key, &identity))
		return EXIT_USAGE;
	int fd = -1, status = restore_find(command, &place, command->argv[1], date, &label, &fd);
	struct beginning beginning;
	struct stream from = {fd, -1, beginning.hash, key ? &identity : NULL};
	if (!status)
		status = open_base(command, &place, &from, &beginning, label, base);
	if (!status)
		status = restore(command, &from, label, to, table);
	if (from.base >= 0)
		close(from.base);
	if (fd >= 0)
		close(fd);
	if (key)
		age_identity_wipe(&identity);
	return status;
}
