/*
 * The store in front of its drivers: keys are checked here, signed URLs take their shape here, files on their way stand in
 * storage.root/spool whatever the driver. Called by upload and download handlers, the workers and the janitor.
 * Must never log or keep a URL: it is a bearer secret.
 */
#include "core/store/driver.h"

#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/crypto/base64.h"
#include "core/crypto/digest.h"
#include "core/store/s3.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LOCAL_SECRET_MIN = 32, FREE_PERCENT = 5 };

static const struct store_driver *driver(const struct config *config)
{
	return text_equal(config->storage_driver, "s3") ? &store_s3 : &store_local;
}

bool store_is_remote(const struct config *config)
{
	return driver(config) == &store_s3;
}

bool store_replica(struct arena *arena, const struct config *config, struct config *ret, const char **ret_name)
{
	bool remote = text_equal(config->replica_driver, "s3");
	if (!*config->replica_driver)
		return false;
	*ret = *config;
	ret->storage_driver = config->replica_driver;
	ret->storage_root = remote ? config->storage_root : config->replica_root;
	ret->storage_endpoint = config->replica_endpoint;
	ret->storage_bucket = config->replica_bucket;
	ret->storage_region = config->replica_region;
	ret->storage_access_key = config->replica_access_key;
	ret->storage_secret_key = config->replica_secret_key;
	ret->storage_session_token = config->replica_session_token;
	ret->storage_virtual_host = config->replica_virtual_host;
	ret->storage_ca_file = config->replica_ca_file;
	*ret_name = remote ? arena_printf(arena, "s3 %s/%s", config->replica_endpoint, config->replica_bucket) : arena_printf(arena, "local %s", config->replica_root);
	return true;
}

enum err store_configured(const struct config *config, const char **ret_why)
{
	if (store_is_remote(config)) {
		struct arena arena;
		struct s3 s3;
		arena_init(&arena, 64 << 10);
		enum err err = s3_open(&arena, config, &s3, ret_why);
		arena_release(&arena);
		return err;
	}
	*ret_why = "storage.driver must be local or s3.";
	if (!text_equal(config->storage_driver, "local"))
		return ERR_INVALID;
	*ret_why = "storage.secret_key needs at least 32 characters.";
	return strlen(config->storage_secret_key) < LOCAL_SECRET_MIN ? ERR_INVALID : OK;
}

struct sigv4_credentials store_credentials(const struct config *config)
{
	return (struct sigv4_credentials){config->storage_access_key, config->storage_secret_key, NULL, config->storage_region, "s3"};
}

/* ------------------------------------------------------------------------------------------------------------- signed URLs */

static const char *base64_of_hex(struct arena *arena, const char *hex)
{
	uint8_t digest[SHA256_SIZE];
	struct buf text;
	buf_init(&text, 64);
	enum err err = hex_decode(hex, strlen(hex), digest, sizeof(digest));
	if (!err)
		err = base64_encode(&text, digest, sizeof(digest));
	const char *base64 = err ? NULL : arena_strdup(arena, buf_text(&text));
	buf_release(&text);
	return base64;
}

enum err store_presign_put(struct arena *arena, const struct config *config, const char *key, int64_t size, const char *checksum,
                           int64_t life_s, const char **ret_url, const char **ret_headers)
{
	char length[24];
	struct sigv4_pair headers[3] = {{STR("content-length"), {length, 0}}};
	size_t count = 1;
	const char *base64 = checksum ? base64_of_hex(arena, checksum) : NULL;
	bool once = driver(config)->put_once && config->storage_conditional_put;
	if (!store_key_valid(key) || (checksum && !base64))
		return ERR_INVALID;
	headers[0].value.n = (size_t)snprintf(length, sizeof(length), "%lld", (long long)size);
	if (base64)
		headers[count++] = (struct sigv4_pair){STR("x-amz-checksum-sha256"), str_of(base64)};
	if (once)
		headers[count++] = (struct sigv4_pair){STR("if-none-match"), STR("*")};
	*ret_headers = base64 ? arena_join(arena, "{\"x-amz-checksum-sha256\":\"", base64, once ? "\",\"if-none-match\":\"*\"}" : "\"}")
	                      : once ? "{\"if-none-match\":\"*\"}" : "{}";
	if (!*ret_headers)
		return ERR_TOO_LARGE;
	return driver(config)->presign(arena, config, "PUT", key, NULL, 0, headers, count, life_s, ret_url);
}

enum err store_presign_get(struct arena *arena, const struct config *config, const char *key, const char *file_name,
                           const char *content_type, int64_t life_s, const char **ret_url)
{
	struct buf encoded;
	buf_init(&encoded, 4096);
	percent_encode(&encoded, file_name, strlen(file_name), false);
	const char *disposition = arena_printf(arena, "attachment; filename*=UTF-8''%s", buf_text(&encoded));
	buf_release(&encoded);
	if (!disposition)
		return ERR_TOO_LARGE;
	struct sigv4_pair query[] = {
	    {STR("response-content-disposition"), str_of(disposition)},
	    {STR("response-content-type"), str_of(content_type)},
	};
	return store_key_valid(key) ? driver(config)->presign(arena, config, "GET", key, query, 2, NULL, 0, life_s, ret_url) : ERR_INVALID;
}

enum err store_presign_part(struct arena *arena, const struct config *config, const char *key, const char *id, int number, int64_t size,
                            int64_t life_s, const char **ret_url)
{
	char part[16], length[24];
	struct sigv4_pair query[] = {{STR("partNumber"), {part, 0}}, {STR("uploadId"), str_of(id)}};
	struct sigv4_pair headers[] = {{STR("content-length"), {length, 0}}};
	query[0].value.n = (size_t)snprintf(part, sizeof(part), "%d", number);
	headers[0].value.n = (size_t)snprintf(length, sizeof(length), "%lld", (long long)size);
	return store_key_valid(key) ? driver(config)->presign(arena, config, "PUT", key, query, 2, headers, 1, life_s, ret_url) : ERR_INVALID;
}

/* ------------------------------------------------------------------------------------------------------------- objects */

enum err store_look(const struct config *config, const char *key, int64_t *ret_size)
{
	return store_key_valid(key) ? driver(config)->look(config, key, ret_size) : ERR_INVALID;
}

enum err store_clock(const struct config *config, int64_t *ret_ahead_s)
{
	return driver(config)->clock ? driver(config)->clock(config, ret_ahead_s) : ERR_NOT_FOUND;
}

enum err store_open(const struct config *config, const char *key, int64_t deadline_s, int *ret_fd)
{
	return store_key_valid(key) ? driver(config)->open(config, key, deadline_s, ret_fd) : ERR_INVALID;
}

enum err store_open_range(const struct config *config, const char *key, int64_t from, int64_t to, int *ret_fd)
{
	return store_key_valid(key) && from >= 0 && to > from ? driver(config)->open_range(config, key, from, to, ret_fd) : ERR_INVALID;
}

enum err store_open_known(const struct config *config, const char *key, const char *known, char hash[SHA256_HEX_SIZE], int64_t *ret_size, int *ret_fd)
{
	char hex[SHA256_HEX_SIZE];
	uint8_t digest[SHA256_SIZE];
	int fd = -1;
	enum err err = store_open(config, key, 0, &fd);
	if (err)
		return err;
	if (hash || !known || store_is_remote(config)) {
		err = sha256_fd(fd, digest, ret_size);
		hex_encode(digest, sizeof(digest), hex);
		if (!err && known && !text_equal(known, hex))
			err = ERR_CONFLICT;
		if (!err && hash)
			memcpy(hash, hex, sizeof(hex));
	}
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

enum err store_place(const struct config *config, const char *spool_path, const char *key)
{
	return store_key_valid(key) ? driver(config)->place(config, spool_path, key) : ERR_INVALID;
}

enum err store_list(const struct config *config, const char *prefix, store_seen *seen, void *context)
{
	return driver(config)->list(config, prefix, seen, context);
}

enum err store_delete(const struct config *config, const char *key)
{
	return store_key_valid(key) ? driver(config)->remove(config, key) : ERR_INVALID;
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
		return store_errno();
	*ret_path = path;
	*ret_fd = fd;
	return OK;
}

enum store_spool store_spool(const struct config *config)
{
	char path[1024];
	struct statvfs fs;
	snprintf(path, sizeof(path), "%s/spool", config->storage_root);
	if (access(path, R_OK | W_OK | X_OK) || statvfs(path, &fs))
		return STORE_SPOOL_GONE;
	if (fs.f_bavail < STORE_SPOOL_MIN / fs.f_frsize)
		return STORE_SPOOL_FULL;
	return fs.f_bavail * 100 < fs.f_blocks * FREE_PERCENT ? STORE_SPOOL_NEARLY_FULL : STORE_SPOOL_OK;
}

/* ------------------------------------------------------------------------------------------------------------- parts */

int64_t store_part_size(const struct config *config, int64_t size)
{
	int64_t part = config->storage_part_bytes;
	while ((size + part - 1) / part > STORE_PARTS_MAX)
		part *= 2;
	return part;
}

enum err store_parts_begin(struct arena *arena, const struct config *config, const char *key, const char **ret_id)
{
	return store_key_valid(key) ? driver(config)->parts_begin(arena, config, key, ret_id) : ERR_INVALID;
}

enum err store_parts_arrived(struct arena *arena, const struct config *config, const char *key, const char *id, size_t count, int64_t **ret_sizes)
{
	int64_t *sizes = store_key_valid(key) && count <= STORE_PARTS_MAX ? arena_array(arena, count ? count : 1, sizeof(*sizes)) : NULL;
	if (!sizes)
		return ERR_INVALID;
	for (size_t i = 0; i < count; i++)
		sizes[i] = -1;
	enum err err = driver(config)->parts_arrived(arena, config, key, id, count, sizes);
	if (!err)
		*ret_sizes = sizes;
	return err;
}

enum err store_parts_complete(const struct config *config, const char *key, const char *id, int64_t size, int64_t part_size)
{
	return store_key_valid(key) ? driver(config)->parts_complete(config, key, id, size, part_size) : ERR_INVALID;
}

enum err store_parts_abort(const struct config *config, const char *key, const char *id)
{
	return store_key_valid(key) ? driver(config)->parts_abort(config, key, id) : ERR_INVALID;
}

/* ------------------------------------------------------------------------------------------------------------- left-overs */

static bool holds_parts(const char *name)
{
	size_t n = strlen(name), suffix = strlen(LOCAL_PARTS_SUFFIX);
	return n > suffix && text_equal(name + n - suffix, LOCAL_PARTS_SUFFIX);
}

/* nginx lays bodies into numbered folders below spool/, so this goes one level down. Uploads in parts have a life of their own. */
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
		if (entry->d_name[0] == '.' || holds_parts(entry->d_name) || fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
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
	int fd = store_directory(config, "spool");
	if (fd < 0)
		return store_errno();
	*ret_count = sweep_directory(fd, clock_unix() - age_s, 1);
	return driver(config)->sweep_parts(config, config->storage_multipart_life_s, ret_count);
}
