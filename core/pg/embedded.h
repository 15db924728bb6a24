/* The SQL files that the binary carries: roles, migrations, functions. Made at build time by scripts/embed.sh. */
#ifndef TIDEGATE_CORE_PG_EMBEDDED_H
#define TIDEGATE_CORE_PG_EMBEDDED_H

struct embedded_file {
	const char *path; /* e.g. "sql/migrations/0001-core.sql"; NULL ends the table */
	const char *text;
};

extern const struct embedded_file embedded_files[];

#endif
