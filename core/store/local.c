/*
 * The local driver: objects as files. Called by the object handlers, the workers and the janitor.
 * Must never follow a symbolic link below its root, nor acknowledge what is not on disk.
 */
#include "core/store/driver.h"

#include "core/base/clock.h"
#include "core/base/text.h"

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
    .parts_begin = local_parts_begin,
    .parts_arrived = local_parts_arrived,
    .parts_complete = local_parts_complete,
    .parts_abort = local_parts_abort,
    .sweep_parts = local_sweep_parts,
};
