/*
 * Finds the backup that `tidegate restore` restores. Must never ask PostgreSQL: it may be what has been lost.
 */
#include "commands/restore_find.h"

#include "commands/backup.h"
#include "core/base/text.h"
#include "core/store/s3.h"
#include "core/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_ARENA = 32 << 20, DATE = 10 };

/* Of full backups, then of differential ones. */
static const char *const suffixes[] = {".sql.zst.age", ".sql.age", ".sql.zst", ".sql", ".diff.sql.zst.age", ".diff.sql.age", ".diff.sql.zst", ".diff.sql"};
enum { SUFFIXES = sizeof(suffixes) / sizeof(suffixes[0]), FULL_SUFFIXES = SUFFIXES / 2 };

/* NAME.sql…, or NAME~TIME.sql… of one that was rewrapped. */
static bool is_of(const char *file, const char *name, bool full)
{
	size_t n = strlen(name);
	if (strncmp(file, name, n) != 0)
		return false;
	file += n;
	if (*file == '~')
		file += 1 + strspn(file + 1, "0123456789");
	for (size_t i = 0; i < (full ? FULL_SUFFIXES : SUFFIXES); i++)
		if (text_equal(file, suffixes[i]))
			return true;
	return false;
}

/* DIRECTORY/[daily/]DATE/NAME.sql…: the last in the order of names is the newest. */
static const char *find_in(struct command *command, const char *root, const char *name, const char *date, bool full)
{
	const char *best = NULL;
	for (int daily = 1; daily >= 0 && !best; daily--) {
		const char *folder = arena_printf(command->arena, "%s/%s%s", root, daily ? "daily/" : "", date);
		DIR *dir = folder ? opendir(folder) : NULL;
		for (struct dirent *entry; dir && (entry = readdir(dir));)
			if (is_of(entry->d_name, name, full) && (!best || strcmp(entry->d_name, best) > 0))
				best = arena_strdup(command->arena, entry->d_name);
		if (dir)
			closedir(dir);
		best = best ? arena_printf(command->arena, "%s/%s", folder, best) : NULL;
	}
	return best;
}

static const char *newest(struct command *command, const char *root, const char *name)
{
	const char *found = NULL, *best = "";
	for (int daily = 1; daily >= 0 && !found; daily--) {
		const char *const *dates = backup_dates(command->arena, arena_printf(command->arena, "%s%s", root, daily ? "/daily" : ""));
		for (; dates && *dates; dates++) {
			const char *path = strcmp(*dates, best) > 0 ? find_in(command, root, name, *dates, false) : NULL;
			best = path ? *dates : best;
			found = path ? path : found;
		}
	}
	return found;
}

static int open_path(const char *path, const char **ret_label, int *ret_fd)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	*ret_label = path;
	return *ret_fd < 0 ? complain(EXIT_REFUSED, "%s: %s", path, strerror(errno)) : 0;
}

/* ---- a bucket ---- */

/* daily/DATE/NAME.sql… of that name, and of that date when one is wanted. */
static bool is_wanted(const char *key, const char *name, const char *date, bool full)
{
	static const char prefix[] = "daily/";
	const char *day = key + sizeof(prefix) - 1, *slash = text_starts_with(key, prefix) ? strchr(day, '/') : NULL;
	return slash && slash - day == DATE && (!date || strncmp(day, date, DATE) == 0) && is_of(slash + 1, name, full);
}

/* The last one in the order of keys is the newest. */
static enum err last_key(struct command *command, struct s3 *s3, const char *name, const char *date, bool full, const char **ret_key)
{
	const char *prefix = date ? arena_printf(command->arena, "daily/%s/", date) : "daily/", *next = NULL;
	char token[2048] = "";
	struct arena arena;
	enum err err = prefix ? OK : ERR_TOO_LARGE;
	arena_init(&arena, PAGE_ARENA);
	*ret_key = NULL;
	do {
		struct s3_page page;
		arena_reset(&arena);
		if (!err)
			err = s3_list(s3, &arena, prefix, next, &page);
		for (size_t i = 0; !err && i < page.count; i++)
			if (is_wanted(page.entries[i].key, name, date, full))
				*ret_key = arena_strdup(command->arena, page.entries[i].key);
		next = err ? NULL : page.next;
		if (next)
			snprintf(token, sizeof(token), "%s", next);
		next = next ? token : NULL;
	} while (next);
	arena_release(&arena);
	return err;
}

static int nothing(const char *what, const char *date, const char *where)
{
	return complain(EXIT_REFUSED, "There is no backup of %s%s%s in %s.", what, date ? " of " : "", date ? date : "", where);
}

static int find_in_bucket(struct command *command, const struct config *config, const char *what, const char *date, bool full, const char **ret_label, int *ret_fd)
{
	struct s3 s3;
	const char *why = NULL;
	if (s3_open(command->arena, config, &s3, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	enum err err = last_key(command, &s3, what, date, full, ret_label);
	if (!err && !*ret_label)
		return nothing(what, date, config->storage_bucket);
	if (!err)
		err = store_open(config, *ret_label, 0, ret_fd);
	return err ? complain(EXIT_UNAVAILABLE, "the bucket %s: %s %s", config->storage_bucket, err_name(err), s3.failure.message) : 0;
}

/* Of the configuration: a bucket, or the directory that the place becomes. */
static int load_place(struct command *command, struct restore_place *place)
{
	struct config all;
	const char *why = NULL, *name = NULL;
	if (config_load(command->arena, command->config_path, &all, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	place->config = all;
	if (place->replica && !store_replica(command->arena, &all, &place->config, &name))
		return complain(EXIT_CONFIGURATION, "There is no second store (replica.driver).");
	place->bucket = store_is_remote(&place->config);
	if (!place->bucket)
		place->from = arena_printf(command->arena, "%s/blobs", place->config.storage_root);
	return 0;
}

int restore_find(struct command *command, struct restore_place *place, const char *what, const char *date, const char **ret_label, int *ret_fd)
{
	struct stat st;
	int status = place->store || place->replica ? load_place(command, place) : 0;
	if (status)
		return status;
	if (place->bucket)
		return find_in_bucket(command, &place->config, what, date, false, ret_label, ret_fd);
	place->single_file = !place->from && stat(what, &st) == 0 && S_ISREG(st.st_mode);
	if (place->single_file)
		return open_path(what, ret_label, ret_fd);
	const char *root = place->from ? place->from : ".", *path = date ? find_in(command, root, what, date, false) : newest(command, root, what);
	return path ? open_path(path, ret_label, ret_fd) : nothing(what, date, root);
}

/* The folder two above a file: there stand the folders of the dates. */
static const char *root_of(struct command *command, const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? arena_printf(command->arena, "%.*s/..", (int)(slash - path), path) : "..";
}

int restore_find_base(struct command *command, const struct restore_place *place, const char *label, const char *key, int *ret_fd)
{
	static const char prefix[] = "daily/";
	const char *day = text_starts_with(key, prefix) ? key + sizeof(prefix) - 1 : "", *slash = strchr(day, '/');
	const char *ignored = NULL;
	if (!slash || slash - day != DATE)
		return complain(EXIT_REFUSED, "%s stands on %s, which is no key of a backup.", label, key);
	const char *date = arena_copy(command->arena, day, DATE), *name = arena_copy(command->arena, slash + 1, strcspn(slash + 1, ".~"));
	if (!date || !name)
		return complain(EXIT_INTERNAL, "no memory");
	if (place->bucket)
		return find_in_bucket(command, &place->config, name, date, true, &ignored, ret_fd);
	const char *root = place->single_file ? root_of(command, label) : place->from ? place->from : ".";
	const char *path = root ? find_in(command, root, name, date, true) : NULL;
	return path ? open_path(path, &ignored, ret_fd)
	            : complain(EXIT_REFUSED, "%s stands on %s, which is not in %s: fetch it too, or name it (--base FILE).", label, key, root ? root : "");
}
