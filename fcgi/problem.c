/*
 * The problem table and language negotiation. Called by the response side and by `tidegate config --docs`.
 * Must never put anything into a sentence that is not in the table: no table names, no values, no paths.
 */
#include "fcgi/problem.h"

#include "core/base/text.h"

#include <string.h>

static const struct {
	const char *code;
	int status;
	const char *sentence[2];
} problems[PROBLEM_COUNT] = {
#define PROBLEM(id, code, status, en, fr) {code, status, {en, fr}},
#include "fcgi/problem.def"
#undef PROBLEM
};

static const struct {
	int status;
	const char *title;
} titles[] = {
    {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"},
    {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"}, {411, "Length Required"},
    {413, "Content Too Large"}, {415, "Unsupported Media Type"}, {422, "Unprocessable Content"}, {429, "Too Many Requests"},
    {500, "Internal Server Error"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
};

const char *problem_code(enum problem problem)
{
	return problems[problem].code;
}

int problem_status(enum problem problem)
{
	return problems[problem].status;
}

const char *problem_sentence(enum problem problem, enum language language)
{
	return problems[problem].sentence[language];
}

const char *status_title(int status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Unknown";
}

enum problem problem_of(enum err err)
{
	static const enum problem by_err[ERR_COUNT] = {
	    [OK] = PROBLEM_INTERNAL,
	    [ERR_INVALID] = PROBLEM_INVALID_REQUEST,
	    [ERR_DENIED] = PROBLEM_FORBIDDEN,
	    [ERR_NOT_FOUND] = PROBLEM_NOT_FOUND,
	    [ERR_CONFLICT] = PROBLEM_BUSY,
	    [ERR_TOO_LARGE] = PROBLEM_TOO_LARGE,
	    [ERR_LIMITED] = PROBLEM_LIMITED,
	    [ERR_IO] = PROBLEM_INTERNAL,
	    [ERR_UNAVAILABLE] = PROBLEM_UNAVAILABLE,
	    [ERR_TIMEOUT] = PROBLEM_TIMEOUT,
	    [ERR_LOST] = PROBLEM_INTERNAL,
	    [ERR_BUG] = PROBLEM_INTERNAL,
	};
	return by_err[(unsigned)err < ERR_COUNT ? err : ERR_BUG];
}

/* The weight of a language range's parameters ";q=0.8", in thousandths; 1000 when there is none. */
static int weight_of(struct str range)
{
	const char *q = memmem(range.p, range.n, "q=", 2);
	int weight = 0, scale = 100;
	if (!q)
		return 1000;
	const char *end = range.p + range.n;
	q += 2;
	if (q < end && *q == '1')
		return 1000;
	for (q += 2; q < end && *q >= '0' && *q <= '9' && scale > 0; q++, scale /= 10)
		weight += (*q - '0') * scale;
	return weight;
}

enum language language_of(const char *accept_language)
{
	int english = 0, french = 0;
	const char *p = accept_language ? accept_language : "";
	while (*p) {
		size_t n = strcspn(p, ",");
		struct str range = str_trim((struct str){p, n});
		int weight = weight_of(range);
		bool fr = range.n >= 2 && strncasecmp(range.p, "fr", 2) == 0;
		bool en = range.n >= 2 && strncasecmp(range.p, "en", 2) == 0;
		if (fr && weight > french)
			french = weight;
		if (en && weight > english)
			english = weight;
		p += n + (p[n] == ',');
	}
	return french > english ? LANGUAGE_FR : LANGUAGE_EN;
}

bool accept_names(const char *accept, const char *type)
{
	const char *p = accept ? accept : "";
	while (*p) {
		size_t n = strcspn(p, ",");
		struct str range = str_trim((struct str){p, n});
		struct str name = {range.p, range.n};
		for (size_t i = 0; i < range.n; i++)
			if (range.p[i] == ';' && name.n == range.n)
				name = str_trim((struct str){range.p, i});
		if (str_equal_ignore_case(name, type) && weight_of(range) > 0)
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

enum err problem_docs(struct buf *out)
{
	buf_append_text(out, "# Problems\n\nEvery refusal is `application/problem+json` (RFC 9457) with one of these codes. Made from `fcgi/problem.def` by\n"
	                     "`tidegate config --errors`; `make lint` fails when the two differ.\n\n| status | code | English | French |\n|---|---|---|---|\n");
	for (int i = 0; i < PROBLEM_COUNT; i++)
		buf_printf(out, "| %d | `%s` | %s | %s |\n", problems[i].status, problems[i].code, problems[i].sentence[LANGUAGE_EN],
		           problems[i].sentence[LANGUAGE_FR]);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err problem_nginx(struct buf *out)
{
	buf_append_text(out, "# Problem documents of nginx itself. Made from fcgi/problem.def by `tidegate config --nginx`; `make lint` fails when the two differ.\n\n"
	                     "# French where it is preferred: named before English.\n"
	                     "map $http_accept_language $tidegate_language {\n\tdefault en;\n\t\"~*^(?:(?!\\ben\\b).)*\\bfr\\b\" fr;\n}\n\n"
	                     "map \"$tidegate_problem:$tidegate_language\" $tidegate_problem_detail {\n\tvolatile;\n\tdefault \"\";\n");
	for (int i = 0; i < PROBLEM_COUNT; i++)
		buf_printf(out, "\t\"%s:en\" \"%s\";\n\t\"%s:fr\" \"%s\";\n", problems[i].code, problems[i].sentence[LANGUAGE_EN], problems[i].code,
		           problems[i].sentence[LANGUAGE_FR]);
	buf_append_text(out, "}\n");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}
