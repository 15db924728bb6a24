/*
 * The local driver: objects as files. Called by the object handlers, the workers and the janitor.
 * Must never follow a symbolic link below its root, nor acknowledge what is not on disk.
 */
#include "core/store/driver.h"

#include "core/base/clock.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err store_errno(void)
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

int store_directory(const struct config *config, const char *name)
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
	int at = store_directory(config, "blobs");
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

static enum err local_open(const struct config *config, const char *key, int64_t deadline_s, int *ret_fd)
{
	const char *name;
	int parent = open_parent(config, key, false, &name);
	(void)deadline_s;
	if (parent < 0)
		return store_errno();
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	enum err err = fd < 0 ? store_errno() : OK;
	close(parent);
	if (!err)
		*ret_fd = fd;
	return err;
}

static enum err local_open_range(const struct config *config, const char *key, int64_t from, int64_t to, int *ret_fd)
{
	(void)from, (void)to;
	return local_open(config, key, 0, ret_fd);
}

enum err local_look(const struct config *config, const char *key, int64_t *ret_size)
{
	struct stat st;
	int fd;
	enum err err = local_open(config, key, 0, &fd);
	if (err)
		return err;
	err = fstat(fd, &st) ? store_errno() : OK;
	close(fd);
	if (!err)
		*ret_size = st.st_size;
	return err;
}

enum err local_link(const struct config *config, const char *path, const char *key)
{
	const char *name;
	int parent = open_parent(config, key, true, &name);
	if (parent < 0)
		return store_errno();
	enum err err = chmod(path, 0640) ? store_errno() : OK;
	int failed = err ? 0 : linkat(AT_FDCWD, path, parent, name, 0);
	if (failed && errno == EEXIST) /* left by an attempt that crashed: two live ones are kept apart by their row's lock */
		failed = unlinkat(parent, name, 0) || linkat(AT_FDCWD, path, parent, name, 0);
	if (!err && (failed || fsync(parent)))
		err = store_errno();
	close(parent);
	return err;
}

enum { FOLDERS_MAX = 12 };

/* Everything in a folder, whose descriptor it takes; path is what stands before a name, with its slash. */
static enum err list_folder(int fd, const char *path, int depth, store_seen *seen, void *context)
{
	char key[STORE_KEY_MAX + 256];
	enum err err = OK;
	DIR *folder = fdopendir(fd);
	if (!folder) {
		close(fd);
		return ERR_IO;
	}
	for (struct dirent *entry; !err && (entry = readdir(folder));) {
		struct stat st;
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, "..") || fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		bool is_folder = S_ISDIR(st.st_mode);
		int n = snprintf(key, sizeof(key), "%s%s%s", path, entry->d_name, is_folder ? "/" : "");
		if (n < 0 || (size_t)n >= sizeof(key) || (is_folder && depth == 0)) {
			err = ERR_TOO_LARGE;
		} else if (is_folder) {
			int below = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			err = below >= 0 ? list_folder(below, key, depth - 1, seen, context) : errno == ENOENT ? OK : store_errno();
		} else if (S_ISREG(st.st_mode)) {
			err = seen(context, &(struct store_entry){key, st.st_size, st.st_mtime});
		}
	}
	closedir(folder);
	return err;
}

static enum err local_list(const struct config *config, const char *prefix, store_seen *seen, void *context)
{
	const char *nothing;
	int fd = open_parent(config, prefix, false, &nothing);
	if (fd < 0)
		return errno == ENOENT ? OK : store_errno();
	return list_folder(fd, prefix, FOLDERS_MAX, seen, context);
}

static enum err local_remove(const struct config *config, const char *key)
{
	const char *name;
	int parent = open_parent(config, key, false, &name);
	if (parent < 0)
		return errno == ENOENT ? OK : store_errno();
	enum err err = unlinkat(parent, name, 0) && errno != ENOENT ? store_errno() : OK;
	close(parent);
	return err;
}

/* URLs of our own origin: "https://host:port" is its scheme and the value of the Host header. */
static enum err local_presign(struct arena *arena, const struct config *config, const char *method, const char *key, const struct sigv4_pair *query,
                              size_t query_count, const struct sigv4_pair *headers, size_t header_count, int64_t life_s, const char **ret_url)
{
	struct sigv4_credentials credentials = store_credentials(config);
	const char *mark = strstr(config->public_url, "://");
	if (!mark || !mark[3])
		return ERR_INVALID;
	const char *scheme = arena_copy(arena, config->public_url, (size_t)(mark - config->public_url));
	const char *path = arena_join(arena, STORE_URL_PREFIX, key, "");
	if (!scheme || !path)
		return ERR_TOO_LARGE;
	struct sigv4_request request = {method, mark + 3, str_of(path), query, query_count, headers, header_count};
	return sigv4_presign(arena, &credentials, &request, scheme, clock_unix(), life_s, ret_url);
}

const struct store_driver store_local = {
    .presign = local_presign,
    .look = local_look,
    .open = local_open,
    .open_range = local_open_range,
    .place = local_link,
    .remove = local_remove,
    .list = local_list,
    .parts_begin = local_parts_begin,
    .parts_arrived = local_parts_arrived,
    .parts_complete = local_parts_complete,
    .parts_abort = local_parts_abort,
    .sweep_parts = local_sweep_parts,
};
