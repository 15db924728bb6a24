/* Reading the fields of a JSON body, query parameters and path ids: each returns false after it has refused the request naming the field. */
#ifndef TIDEGATE_FCGI_FIELDS_H
#define TIDEGATE_FCGI_FIELDS_H

#include "fcgi/response.h"

/* Text of min..max characters without control characters. Absent or null: *ret is NULL when min is 0, refused otherwise. */
bool field_text(struct response *response, const json_t *object, const char *name, size_t min, size_t max, const char **ret);

/* Whole number min..max; required. */
bool field_i64(struct response *response, const json_t *object, const char *name, int64_t min, int64_t max, int64_t *ret);

/* SHA-256 in hex, of either case; lower case in *ret, NULL when absent. */
bool field_sha256(struct response *response, const json_t *object, const char *name, const char **ret);

/* A query parameter that counts, `limit` for example. */
bool query_i64(struct response *response, const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *ret);

/* A query parameter that is one of the words of choices, which blanks divide; *ret NULL when it is absent or empty. */
bool query_choice(struct response *response, const char *name, const char *choices, const char **ret);

/* A query parameter as text; NULL when it is absent or empty. */
const char *query_text(const struct request *request, const char *name);

/* The {id} of the path as a UUID, or NULL after a 404: what is no id cannot belong to anybody. */
const char *path_uuid(struct response *response, size_t index);

#endif
