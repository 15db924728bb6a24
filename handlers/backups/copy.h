/*
 * The second store of backups (replica.*): every good backup is copied there, read back and compared; when the first store has lost one, it comes back from there.
 * Both have the same keys.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_COPY_H
#define TIDEGATE_HANDLERS_BACKUPS_COPY_H

#include "core/base/arena.h"
#include "core/store/store.h"

/* What the inventory says of an object. */
struct stored_object {
	const char *key, *sha256;
	int64_t size;
};

/* The second store. ERR_NOT_FOUND: none is configured; ERR_UNAVAILABLE: its directory is not there (not mounted, say), so that nothing can be said of what is in it. */
enum err backup_second_store(struct arena *arena, const struct config *config, struct config *ret) MUST_USE;

/* How a copy failed: of which store. */
enum copy_side { COPY_OF, COPY_TO };

/*
 * Copies an object and its manifest from one store to the other in bounded memory, reads it back and compares size and hash. ERR_NOT_FOUND: it is not there; ERR_INVALID:
 * it is there with other bytes; otherwise what the store says. *ret_side: which of the two is at fault. Nothing is under the key of `to` that was not compared first, but what a
 * store itself changed.
 */
enum err backup_copy(struct arena *arena, const struct config *from, const struct config *to, const struct stored_object *object, enum copy_side *ret_side) MUST_USE;

/*
 * Sees to it that the first store has an object, in the size that the inventory knows. When it has not, and has_replica, it is brought back from the second, compared
 * on the way. ERR_NOT_FOUND, ERR_INVALID: it is nowhere in order.
 */
enum err backup_bring_back(struct arena *arena, const struct config *config, const struct stored_object *object, bool has_replica) MUST_USE;

/* Opens an object for reading, of the first store or, when that has lost it and has_replica, of the second. */
enum err backup_open(struct arena *arena, const struct config *config, const struct stored_object *object, bool has_replica, int *ret_fd) MUST_USE;

/* The same, read through and compared first: ERR_INVALID when its bytes are not those of sha256. */
enum err backup_open_whole(struct arena *arena, const struct config *config, const struct stored_object *object, bool has_replica, int *ret_fd) MUST_USE;

#endif
