/*
 * Objects: files under keys, signed URLs to put and get them. Two drivers (storage.driver), the same for everybody above:
 *
 *   local  a directory on one file system, served by nginx
 *          ROOT/spool/   bodies on their way in (written by nginx) and files being made
 *          ROOT/blobs/   finished objects under their keys
 *   s3     a bucket of an S3-compatible store (s3.h). ROOT/spool/ holds what is on its way between the two.
 *
 * An object appears whole or not at all, and is durable before a call says so. Local: synced, then linked into place, then its
 * directory is synced.
 *
 * Keys are made by us: segments of [A-Za-z0-9._~%-] divided by single slashes, none of them "." or "..", at most 512
 * bytes. Anything else is ERR_INVALID, so a key can be a path.
 *
 * Results of the driver s3 are those of s3.h, and logged here with what the store said.
 */
#ifndef TIDEGATE_CORE_STORE_STORE_H
#define TIDEGATE_CORE_STORE_STORE_H

#include "core/base/arena.h"
#include "core/base/config.h"
#include "core/crypto/digest.h"
#include "core/crypto/sigv4.h"

#include <stdbool.h>
#include <stdint.h>

enum { STORE_KEY_MAX = 512, STORE_PARTS_MAX = 10000, STORE_SPOOL_MIN = 16 << 20 };

/* Files up to this size are read when they are handed in; larger ones when they are first worked on. */
#define STORE_READ_AT_ONCE (64LL << 20)

#define STORE_URL_PREFIX "/objects/"

/* Can objects be kept with this configuration? ERR_INVALID with a sentence in *ret_why. Asks nobody. */
enum err store_configured(const struct config *config, const char **ret_why) MUST_USE;

/*
 * The second store (replica.*), as a configuration of its own for every call of this header. False: there is none. name, in the arena: what tells it from
 * another one ("s3 https://host/bucket", "local /mnt/backup"). Signed URLs are made for the driver s3 only.
 */
bool store_replica(struct arena *arena, const struct config *config, struct config *ret, const char **ret_name);

/* Do clients put and get objects somewhere else than at our own origin? Then nobody tells us when one has arrived. */
bool store_is_remote(const struct config *config);

/* The credentials that URLs of our own origin are signed with. The texts belong to the configuration. */
struct sigv4_credentials store_credentials(const struct config *config);

bool store_key_valid(const char *key);

/* One path segment of a key out of any text: percent-encoded, and a digest where that is too long. NULL: no memory. */
const char *store_key_segment(struct arena *arena, const char *text) MUST_USE;

/*
 * URL for one PUT of exactly size bytes. *ret_headers: JSON object of the headers that the client must send, which are signed
 * too: with a checksum (SHA-256, hex) x-amz-checksum-sha256, and if-none-match where the store honours it.
 */
enum err store_presign_put(struct arena *arena, const struct config *config, const char *key, int64_t size, const char *checksum,
                           int64_t life_s, const char **ret_url, const char **ret_headers) MUST_USE;

/* URL for GETs; file_name is what a browser saves it as. */
enum err store_presign_get(struct arena *arena, const struct config *config, const char *key, const char *file_name,
                           const char *content_type, int64_t life_s, const char **ret_url) MUST_USE;

/* Size of a finished object. ERR_NOT_FOUND. */
enum err store_look(const struct config *config, const char *key, int64_t *ret_size) MUST_USE;

/*
 * Opens a finished object for reading. ERR_NOT_FOUND, ERR_IO. With the driver s3 it is fetched into a file without a name, within
 * deadline_s seconds (0: storage.deadline_s).
 */
enum err store_open(const struct config *config, const char *key, int64_t deadline_s, int *ret_fd) MUST_USE;

/* The same, of which the caller reads bytes from..to alone: they stand at their own places in the file; what is around them need not. */
enum err store_open_range(const struct config *config, const char *key, int64_t from, int64_t to, int *ret_fd) MUST_USE;

/*
 * The same for a file of which a SHA-256 may be known (hex, or NULL). It is computed, and compared, when hash is not NULL, when none is known
 * and whenever the file comes from a store of its own. ERR_CONFLICT: it is another file than the one that is known. ret_size may be NULL.
 */
enum err store_open_known(const struct config *config, const char *key, const char *known, char hash[SHA256_HEX_SIZE], int64_t *ret_size, int *ret_fd) MUST_USE;

/*
 * How ROOT/spool is, for files of this host: nearly full is less than a twentieth of its disk, full is less than STORE_SPOOL_MIN
 * bytes, gone is a directory that this user cannot write to (not mounted, read only, no right).
 */
enum store_spool { STORE_SPOOL_OK, STORE_SPOOL_NEARLY_FULL, STORE_SPOOL_FULL, STORE_SPOOL_GONE };
enum store_spool store_spool(const struct config *config) MUST_USE;

/* How many seconds the clock of the store is ahead of ours, by the Date of an answer of it. ERR_NOT_FOUND: it has none of its own (driver local), or does not say. */
enum err store_clock(const struct config *config, int64_t *ret_ahead_s) MUST_USE;

/* Links a synced file of ROOT/spool into place under key, or sends it; what stands there is replaced. spool_path stays
   (nginx removes its own temporary files; whoever called store_create removes theirs). */
enum err store_place(const struct config *config, const char *spool_path, const char *key) MUST_USE;

/* A new file in ROOT/spool to be written by the caller, then fsynced and placed. */
enum err store_create(struct arena *arena, const struct config *config, const char **ret_path, int *ret_fd) MUST_USE;

struct store_entry {
	const char *key; /* of whatever lies there: it need not be one that store_key_valid likes */
	int64_t size;
	int64_t modified; /* Unix seconds, by the store's clock */
};
/* Anything but OK ends the listing and becomes its result. The entry lives until it returns. */
typedef enum err store_seen(void *context, const struct store_entry *entry);

/* Calls seen for every object under a prefix that ends with a slash, in no particular order, page by page: what is made or removed meanwhile may be seen or not. */
enum err store_list(const struct config *config, const char *prefix, store_seen *seen, void *context) MUST_USE;

/* Absent is fine. */
enum err store_delete(const struct config *config, const char *key) MUST_USE;

/* Removes files of ROOT/spool older than age_s seconds, and uploads in parts older than storage.multipart_life_s; *ret_count of them. */
enum err store_sweep(const struct config *config, int64_t age_s, int64_t *ret_count) MUST_USE;

/*
 * Uploads in parts: parts are counted from 1, all but the last have storage.part_bytes bytes (store_part_size). An id belongs to
 * one key. Nothing is an object before store_parts_complete.
 */
int64_t store_part_size(const struct config *config, int64_t size);
enum err store_parts_begin(struct arena *arena, const struct config *config, const char *key, const char **ret_id) MUST_USE;
enum err store_presign_part(struct arena *arena, const struct config *config, const char *key, const char *id, int number, int64_t size,
                            int64_t life_s, const char **ret_url) MUST_USE;
/* *ret_sizes[n]: bytes of part n + 1 that have arrived, -1: none yet; count of them. ERR_NOT_FOUND: no such upload (any more). */
enum err store_parts_arrived(struct arena *arena, const struct config *config, const char *key, const char *id, size_t count, int64_t **ret_sizes) MUST_USE;
/* All parts of an object of size bytes, part_size each, have arrived: it becomes one. Done before is fine. */
enum err store_parts_complete(const struct config *config, const char *key, const char *id, int64_t size, int64_t part_size) MUST_USE;
/* Absent is fine. */
enum err store_parts_abort(const struct config *config, const char *key, const char *id) MUST_USE;
/* Local only: takes a part that nginx laid into the spool, of size bytes, to be at offset of the object. */
enum err store_part_place(const struct config *config, const char *id, int number, int from, int64_t offset, int64_t size) MUST_USE;

#endif
