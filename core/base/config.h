/*
 * Configuration: one table (config.def), three sources, later ones win: the ini file (default
 * /etc/tidegate/tidegate.ini, or --config, or TIDEGATE_CONFIG), the environment (TIDEGATE_<SECTION>_<NAME>), and for
 * secrets systemd credentials (a file `section.name` in $CREDENTIALS_DIRECTORY). An unknown section or name, a number
 * out of range or an unreadable file is an error with a sentence: the world is wrong, the process must not start.
 */
#ifndef TIDEGATE_CORE_BASE_CONFIG_H
#define TIDEGATE_CORE_BASE_CONFIG_H

#include "core/base/arena.h"
#include "core/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct config {
#define TEXT(member, section, name, value, doc) const char *member;
#define SECRET(member, section, name, value, doc) const char *member;
#define INT(member, section, name, value, min, max, doc) int64_t member;
#define BOOL(member, section, name, value, doc) bool member;
#define TIME(member, section, name, value, doc) const char *member;
#define CHOICE(member, section, name, value, words, doc) const char *member;
#include "core/base/config.def"
#undef TEXT
#undef SECRET
#undef INT
#undef BOOL
#undef TIME
#undef CHOICE
};

/*
 * Fills *ret; texts live in the arena. path NULL: TIDEGATE_CONFIG, then the default place, which may be missing.
 * On failure *ret_why holds a sentence for the operator (in the arena).
 */
enum err config_load(struct arena *arena, const char *path, struct config *ret, const char **ret_why) MUST_USE;

/* docs/configuration.md, made from the table. */
enum err config_docs(struct buf *out);

/* Every option as `section.name = value`, secrets shown as (set) or (not set). */
enum err config_print(const struct config *config, struct buf *out);

#endif
