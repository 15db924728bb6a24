/*
 * Objects: files under keys, signed URLs to put and get them. Driver `local`: a directory on one file system,
 *   ROOT/spool/   bodies on their way in (written by nginx) and files being made
 *   ROOT/blobs/   finished objects under their keys
 * An object appears whole or not at all: it is synced, then linked or renamed into place, then its directory is synced.
 *
 * Keys are made by us: segments of [A-Za-z0-9._~%-] divided by single slashes, none of them "." or "..", at most 512
 * bytes. Anything else is ERR_INVALID, so a key can be a path.
 */
#ifndef TIDEGATE_CORE_STORE_STORE_H
#define TIDEGATE_CORE_STORE_STORE_H

#include "core/base/arena.h"
#include "core/base/config.h"
#include "core/crypto/sigv4.h"

#include <stdbool.h>
#include <stdint.h>

enum { STORE_KEY_MAX = 512 };

#define STORE_URL_PREFIX "/objects/"

/* The credentials that our own URLs are signed with. The texts belong to the configuration. */
struct sigv4_credentials store_credentials(const struct config *config);

bool store_key_valid(const char *key);

/* One path segment of a key out of any text: percent-encoded, and a digest where that is too long. NULL: no memory. */
const char *store_key_segment(struct arena *arena, const char *text) MUST_USE;

/*
 * URL for one PUT of exactly size bytes. With a checksum (SHA-256, hex) the client must send x-amz-checksum-sha256 with
 * *ret_checksum (base64), which is signed too; otherwise *ret_checksum is NULL.
 */
enum err store_presign_put(struct arena *arena, const struct config *config, const char *key, int64_t size, const char *checksum,
                           int64_t life_s, const char **ret_url, const char **ret_checksum) MUST_USE;

/* URL for GETs; file_name is what a browser saves it as. */
enum err store_presign_get(struct arena *arena, const struct config *config, const char *key, const char *file_name,
                           const char *content_type, int64_t life_s, const char **ret_url) MUST_USE;

/* Opens a finished object for reading. ERR_NOT_FOUND, ERR_IO. */
enum err store_open(const struct config *config, const char *key, int *ret_fd) MUST_USE;

/* Links a synced file of ROOT/spool into place under key; what a crashed attempt left there is replaced. spool_path stays
   (nginx removes its own temporary files; whoever called store_create removes theirs). */
enum err store_place(const struct config *config, const char *spool_path, const char *key) MUST_USE;

/* A new file in ROOT/spool to be written by the caller, then fsynced and placed. */
enum err store_create(struct arena *arena, const struct config *config, const char **ret_path, int *ret_fd) MUST_USE;

/* Absent is fine. */
enum err store_delete(const struct config *config, const char *key) MUST_USE;

/* Removes files of ROOT/spool older than age_s seconds; *ret_count of them. */
enum err store_sweep(const struct config *config, int64_t age_s, int64_t *ret_count) MUST_USE;

#endif
