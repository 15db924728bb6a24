/*
 * Uploads in parts of the local driver: a folder spool/ID.parts with the file `data`, which becomes the object, and an empty
 * file for every part that stands in it, named NUMBER-BYTES. A part is written at its place in `data` and synced before it gets
 * its name, so that the folder alone says what has arrived, whatever died meanwhile.
 * Must never name a part that is not on disk.
 */
#include "core/store/driver.h"

#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_MAX = UUID_SIZE + sizeof(LOCAL_PARTS_SUFFIX) };

/* The folder of an upload, "ID.parts"; false: the id is none of ours. */
static bool folder_of(const char *id, char out[FOLDER_MAX])
{
	return is_uuid(id) && snprintf(out, FOLDER_MAX, "%s" LOCAL_PARTS_SUFFIX, id) > 0;
}

/* Descriptor of the folder; ERR_NOT_FOUND when there is no such upload. */
static enum err open_folder(const struct config *config, const char *id, int *ret_fd)
{
	char name[FOLDER_MAX];
	if (!folder_of(id, name))
		return ERR_NOT_FOUND;
	int spool = store_directory(config, "spool");
	if (spool < 0)
		return store_errno();
	int fd = openat(spool, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum err err = fd < 0 ? store_errno() : OK;
	close(spool);
	if (!err)
		*ret_fd = fd;
	return err;
}

enum err local_parts_begin(struct arena *arena, const struct config *config, const char *key, const char **ret_id)
{
	char *id = arena_alloc(arena, UUID_SIZE), name[FOLDER_MAX];
	(void)key;
	if (!id)
		return ERR_TOO_LARGE;
	uuid_v4(id);
	int spool = store_directory(config, "spool"), folder = -1, data = -1;
	if (spool < 0 || !folder_of(id, name))
		return store_errno();
	if (mkdirat(spool, name, 0770) == 0)
		folder = openat(spool, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder >= 0)
		data = openat(folder, "data", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	enum err err = data < 0 || fsync(folder) || fsync(spool) ? store_errno() : OK;
	if (data >= 0)
		close(data);
	if (folder >= 0)
		close(folder);
	close(spool);
	if (!err)
		*ret_id = id;
	return err;
}

/* copy_file_range where the file system can, by hand where it cannot. */
static enum err copy_bytes(int from, int to, int64_t offset, int64_t size)
{
	char block[64 << 10];
	loff_t in = 0, out = offset;
	while (in < size) {
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(size - in), 0);
		if (n > 0)
			continue;
		if (n == 0)
			return ERR_IO; /* shorter than it was said to be */
		if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
			return store_errno();
		n = pread(from, block, sizeof(block) < (size_t)(size - in) ? sizeof(block) : (size_t)(size - in), in);
		if (n <= 0 || pwrite(to, block, (size_t)n, out) != n)
			return n == 0 ? ERR_IO : store_errno();
		in += n;
		out += n;
	}
	return OK;
}

enum err store_part_place(const struct config *config, const char *id, int number, int from, int64_t offset, int64_t size)
{
	char name[48];
	int folder = -1;
	enum err err = open_folder(config, id, &folder);
	if (err)
		return err;
	int data = openat(folder, "data", O_WRONLY | O_NOFOLLOW | O_CLOEXEC), mark = -1;
	err = data < 0 ? store_errno() : copy_bytes(from, data, offset, size);
	if (!err && fdatasync(data))
		err = store_errno();
	snprintf(name, sizeof(name), "%d-%lld", number, (long long)size);
	if (!err)
		mark = openat(folder, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (!err && (mark < 0 || fsync(folder)))
		err = store_errno();
	if (mark >= 0)
		close(mark);
	if (data >= 0)
		close(data);
	close(folder);
	return err;
}

enum err local_parts_arrived(struct arena *arena, const struct config *config, const char *key, const char *id, size_t count, int64_t *sizes)
{
	int fd = -1;
	(void)arena, (void)key;
	enum err err = open_folder(config, id, &fd);
	if (err)
		return err;
	DIR *folder = fdopendir(fd);
	if (!folder) {
		close(fd);
		return ERR_UNAVAILABLE;
	}
	for (struct dirent *entry; (entry = readdir(folder));) {
		const char *dash = strchr(entry->d_name, '-');
		int64_t number, size;
		if (dash && !parse_i64_n(entry->d_name, (size_t)(dash - entry->d_name), 1, (int64_t)count, &number) && !parse_i64(dash + 1, 0, INT64_MAX, &size))
			sizes[number - 1] = size;
	}
	closedir(folder);
	return OK;
}

/* Everything in the folder, then the folder. */
static enum err remove_folder(const struct config *config, const char *name)
{
	int spool = store_directory(config, "spool");
	if (spool < 0)
		return store_errno();
	int fd = openat(spool, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	enum err err = fd < 0 ? store_errno() : OK;
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, "..") && unlinkat(fd, entry->d_name, 0) && errno != ENOENT)
			err = store_errno();
	if (!err && unlinkat(spool, name, AT_REMOVEDIR))
		err = store_errno();
	if (folder)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
	close(spool);
	return err == ERR_NOT_FOUND ? OK : err;
}

enum err local_parts_abort(const struct config *config, const char *key, const char *id)
{
	char name[FOLDER_MAX];
	(void)key;
	return folder_of(id, name) ? remove_folder(config, name) : OK;
}

static enum err link_data(const struct config *config, const char *name, const char *key, int64_t size)
{
	char path[1024];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/spool/%s/data", config->storage_root, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return ERR_INVALID;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return store_errno();
	enum err err = fstat(fd, &st) || fsync(fd) ? store_errno() : OK;
	close(fd);
	if (!err && st.st_size != size)
		err = ERR_CONFLICT;
	return err ? err : local_link(config, path, key);
}

enum err local_parts_complete(const struct config *config, const char *key, const char *id, int64_t size, int64_t part_size)
{
	char name[FOLDER_MAX];
	int64_t there = -1;
	(void)part_size;
	enum err err = folder_of(id, name) ? link_data(config, name, key, size) : ERR_NOT_FOUND;
	if (err == ERR_NOT_FOUND && !local_look(config, key, &there) && there == size)
		return OK;
	return err ? err : remove_folder(config, name);
}

enum err local_sweep_parts(const struct config *config, int64_t age_s, int64_t *count)
{
	int fd = store_directory(config, "spool");
	DIR *spool = fd < 0 ? NULL : fdopendir(fd);
	if (!spool) {
		if (fd >= 0)
			close(fd);
		return store_errno();
	}
	for (struct dirent *entry; (entry = readdir(spool));) {
		struct stat st;
		size_t n = strlen(entry->d_name), suffix = strlen(LOCAL_PARTS_SUFFIX);
		bool parts = n > suffix && text_equal(entry->d_name + n - suffix, LOCAL_PARTS_SUFFIX);
		if (parts && fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) && st.st_mtime < clock_unix() - age_s &&
		    !remove_folder(config, entry->d_name))
			++*count;
	}
	closedir(spool);
	return OK;
}
