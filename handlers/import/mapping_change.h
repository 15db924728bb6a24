/*
 * A mapping set by hand. In the database a mapping is int[]: per field of the target (declaration order) the 0-based
 * column it is read from, or -1. Clients see it the other way round, per column, inside `columns`.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_MAPPING_CHANGE_H
#define TIDEGATE_HANDLERS_IMPORT_MAPPING_CHANGE_H

#include "core/schema/schema.h"
#include "fcgi/response.h"

struct mapping_change {
	const char *mapping;   /* int[] literal, NULL: columns were not sent */
	const char *columns;   /* JSON for clients, with the new fields */
	const char *overrides; /* JSON of encoding, delimiter, headerRow; NULL: none was sent. The file is inspected again. */
	const char *values;    /* JSON {"field": {"what the file says": "value"}} of the fields sent; NULL: none was */
	const char *save_as;   /* name to remember the mapping under, or NULL */
};

/* Reads the body of PUT …/mapping against the job's columns (JSON). Refuses unknown columns, fields and values, and doubles. */
enum err mapping_change_read(struct request *request, struct response *response, const struct schema_table *table, const char *columns,
                             struct mapping_change *ret) MUST_USE;

/* Does every group of fields with an error code have a mapped member? mapping as PostgreSQL prints int[]. */
bool mapping_complete(const struct schema_table *table, const char *mapping);

/* "{3,-1,0}" into ret[count]; false when it is anything else. */
bool mapping_parse(const char *text, int *ret, size_t count);

/* fields[c] for import_check_init: the field that column c feeds, or -1. ERR_BUG when the text is no mapping of the table. */
enum err mapping_by_column(struct arena *arena, const char *mapping, const struct schema_table *table, size_t columns, const int **ret) MUST_USE;

/* The int[] literal of a mapping. NULL: no memory. */
const char *mapping_literal(struct arena *arena, const int *by_field, size_t count) MUST_USE;

#endif
