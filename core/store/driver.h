/* The two drivers, behind store.h. Private to core/store. Each function is the part of store.h's function of the same name. */
#ifndef TIDEGATE_CORE_STORE_DRIVER_H
#define TIDEGATE_CORE_STORE_DRIVER_H

#include "core/store/store.h"

struct store_driver {
	enum err (*presign)(struct arena *arena, const struct config *config, const char *method, const char *key, const struct sigv4_pair *query,
	                    size_t query_count, const struct sigv4_pair *headers, size_t header_count, int64_t life_s, const char **ret_url);
	enum err (*look)(const struct config *config, const char *key, int64_t *ret_size);
	enum err (*open)(const struct config *config, const char *key, int64_t deadline_s, int *ret_fd);
	enum err (*open_range)(const struct config *config, const char *key, int64_t from, int64_t to, int *ret_fd);
	enum err (*place)(const struct config *config, const char *spool_path, const char *key);
	enum err (*remove)(const struct config *config, const char *key);
	enum err (*parts_begin)(struct arena *arena, const struct config *config, const char *key, const char **ret_id);
	enum err (*parts_arrived)(struct arena *arena, const struct config *config, const char *key, const char *id, size_t count, int64_t *sizes);
	enum err (*parts_complete)(const struct config *config, const char *key, const char *id, int64_t size, int64_t part_size);
	enum err (*parts_abort)(const struct config *config, const char *key, const char *id);
	enum err (*sweep_parts)(const struct config *config, int64_t age_s, int64_t *count);
	enum err (*list)(const struct config *config, const char *prefix, store_seen *seen, void *context);
	enum err (*clock)(const struct config *config, int64_t *ret_ahead_s); /* NULL: it has none of its own */
	bool put_once; /* an upload URL must carry If-None-Match */
};

extern const struct store_driver store_local, store_s3;

/* Parts of the driver local that stand in a file of their own (local_parts.c). */
enum err local_parts_begin(struct arena *arena, const struct config *config, const char *key, const char **ret_id) MUST_USE;
enum err local_parts_arrived(struct arena *arena, const struct config *config, const char *key, const char *id, size_t count, int64_t *sizes) MUST_USE;
enum err local_parts_complete(const struct config *config, const char *key, const char *id, int64_t size, int64_t part_size) MUST_USE;
enum err local_parts_abort(const struct config *config, const char *key, const char *id) MUST_USE;
enum err local_sweep_parts(const struct config *config, int64_t age_s, int64_t *count) MUST_USE;

/* Makes the file of that path (synced, on the same file system) the object key; what stood there is replaced. */
enum err local_link(const struct config *config, const char *path, const char *key) MUST_USE;
enum err local_look(const struct config *config, const char *key, int64_t *ret_size) MUST_USE;

/* The end of the name of a folder in spool/ that holds the parts of an upload. */
#define LOCAL_PARTS_SUFFIX ".parts"

/* What a failed system call means. */
enum err store_errno(void);

/* Descriptor of a directory of storage.root; -1 with errno. */
int store_directory(const struct config *config, const char *name);

#endif
