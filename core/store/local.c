/*
 * The local driver: objects as files. Called by the object handlers, the workers and the janitor.
 * Must never follow a symbolic link below its root, nor acknowledge what is not on disk.
 */
#include "core/store/store.h"

#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err from_errno(void)
{
	switch (errno) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case ENOSPC:
	case EDQUOT:
		return ERR_UNAVAILABLE;
	default:
		return ERR_IO;
	}
}

static int open_directory(const struct config *config, const char *name)
{
	char path[1024];
	int n = snprintf(path, sizeof(path), "%s/%s", config->storage_root, name);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Descriptor of the directory that holds the last segment of key, made along the way where asked; -1 with errno. */
static int open_parent(const struct config *config, const char *key, bool make, const char **ret_name)
{
	char segment[STORE_KEY_MAX + 1];
	int at = open_directory(config, "blobs");
	const char *p = key;
	for (const char *slash; at >= 0 && (slash = strchr(p, '/')); p = slash + 1) {
		snprintf(segment, sizeof(segment), "%.*s", (int)(slash - p), p);
		int next = openat(at, segment, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && errno == ENOENT && make && (mkdirat(at, segment, 0770) == 0 || errno == EEXIST)) {
			fsync(at);
			next = openat(at, segment, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		int saved = errno;
		close(at);
		errno = saved;
		at = next;
	}
	*ret_name = p;
	return at;
}

enum err store_open(const struct config *config, const char *key, int *ret_fd)
{
	const char *name;
	if (!store_key_valid(key))
		return ERR_INVALID;
	int parent = open_parent(config, key, false, &name);
	if (parent < 0)
		return from_errno();
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	enum err err = fd < 0 ? from_errno() : OK;
	close(parent);
	if (!err)
		*ret_fd = fd;
	return err;
}

enum err store_place(const struct config *config, const char *spool_path, const char *key)
{
	const char *name;
	if (!store_key_valid(key))
		return ERR_INVALID;
	int parent = open_parent(config, key, true, &name);
	if (parent < 0)
		return from_errno();
	enum err err = chmod(spool_path, 0640) ? from_errno() : OK;
	int failed = err ? 0 : linkat(AT_FDCWD, spool_path, parent, name, 0);
	if (failed && errno == EEXIST) /* left by an attempt that crashed: two live ones are kept apart by their row's lock */
		failed = unlinkat(parent, name, 0) || linkat(AT_FDCWD, spool_path, parent, name, 0);
	if (!err && (failed || fsync(parent)))
		err = from_errno();
	close(parent);
	return err;
}

enum err store_create(struct arena *arena, const struct config *config, const char **ret_path, int *ret_fd)
{
	char id[UUID_SIZE];
	uuid_v4(id);
	const char *path = arena_printf(arena, "%s/spool/%s.new", config->storage_root, id);
	if (!path)
		return ERR_TOO_LARGE;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return from_errno();
	*ret_path = path;
	*ret_fd = fd;
	return OK;
}

enum err store_delete(const struct config *config, const char *key)
{
	const char *name;
	if (!store_key_valid(key))
		return ERR_INVALID;
	int parent = open_parent(config, key, false, &name);
	if (parent < 0)
		return errno == ENOENT ? OK : from_errno();
	enum err err = unlinkat(parent, name, 0) && errno != ENOENT ? from_errno() : OK;
	close(parent);
	return err;
}

/* nginx lays bodies into numbered folders below spool/, so this goes one level down. */
static int64_t sweep_directory(int fd, int64_t older_than, int depth)
{
	int64_t count = 0;
	DIR *directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return 0;
	}
	for (struct dirent *entry; (entry = readdir(directory));) {
		struct stat st;
		if (entry->d_name[0] == '.' || fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (S_ISDIR(st.st_mode) && depth > 0) {
			int below = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			count += below >= 0 ? sweep_directory(below, older_than, depth - 1) : 0;
		} else if (S_ISREG(st.st_mode) && st.st_mtime < older_than && unlinkat(dirfd(directory), entry->d_name, 0) == 0) {
			count++;
		}
	}
	closedir(directory);
	return count;
}

enum err store_sweep(const struct config *config, int64_t age_s, int64_t *ret_count)
{
	int fd = open_directory(config, "spool");
	if (fd < 0)
		return from_errno();
	*ret_count = sweep_directory(fd, clock_unix() - age_s, 1);
	return OK;
}
