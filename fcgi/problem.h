/* The problems of problem.def as a table, and how a result of the lower layers becomes one. RFC 9457. */
#ifndef TIDEGATE_FCGI_PROBLEM_H
#define TIDEGATE_FCGI_PROBLEM_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stdbool.h>

enum problem {
#define PROBLEM(id, code, status, en, fr) PROBLEM_##id,
#include "fcgi/problem.def"
#undef PROBLEM
	PROBLEM_COUNT
};

enum language { LANGUAGE_EN, LANGUAGE_FR };

const char *problem_code(enum problem problem);
int problem_status(enum problem problem);
const char *problem_sentence(enum problem problem, enum language language);

/* "Bad Request" … for any status this program answers. */
const char *status_title(int status);

/* The problem that a bare result means. */
enum problem problem_of(enum err err);

/* The language a client prefers by Accept-Language (RFC 9110, weights honoured); English when it names neither. */
enum language language_of(const char *accept_language);

/* Does an Accept header name this very type (text/html), with a weight? Ranges such as text/ followed by an asterisk do not count. NULL: it names nothing. */
bool accept_names(const char *accept, const char *type);

/* docs/errors.md / nginx/snippets/problems.conf: the same sentences where nginx itself answers. */
enum err problem_docs(struct buf *out);
enum err problem_nginx(struct buf *out);

#endif
