/*
 * Fuzz target: what nginx hands over. The first five lines are REQUEST_URI, REQUEST_METHOD, HTTP_ACCEPT_LANGUAGE,
 * REQUEST_ID and CONTENT_TYPE, the rest is the body. What must hold for an accepted request: every part of path and query
 * is UTF-8 without NUL, ids are as promised, and a route found has all its values.
 * Seeds: tests/fuzz/seeds/request/.
 */
#include "fcgi/request.h"
#include "fcgi/route.h"
#include "handlers/import/handlers.h"
#include "handlers/sync/handlers.h"
#include "handlers/system/handlers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"REQUEST_URI", "REQUEST_METHOD", "HTTP_ACCEPT_LANGUAGE", "REQUEST_ID", "CONTENT_TYPE"};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_text(struct str s)
{
	must(s.p != NULL && utf8_valid(s.p, s.n) && (s.n == 0 || memchr(s.p, 0, s.n) == NULL));
}

static void check_parsed(struct request *request)
{
	const struct route_table tables[] = {import_routes, system_routes, sync_routes};
	const char *allow = NULL;
	must(request->segment_count <= REQUEST_SEGMENTS_MAX && request->query_count <= REQUEST_QUERY_MAX);
	must(request->id && strlen(request->id) >= 8 && strlen(request->id) <= 64);
	for (size_t i = 0; i < request->segment_count; i++)
		check_text(request->segments[i]);
	for (size_t i = 0; i < request->query_count; i++) {
		check_text(request->query[i].name);
		check_text(request->query[i].value);
	}
	const struct route *route = route_find(request, tables, 3, &allow);
	if (!route)
		return;
	for (size_t i = 0; i < request->path_value_count; i++)
		must(request->path_values[i].n > 0);
	bool json = route->flags & (ROUTE_JSON | ROUTE_JSON_OPTIONAL | ROUTE_SYNC);
	if (json && request_parse_json(request, route->flags & ROUTE_JSON_OPTIONAL, route->flags & ROUTE_SYNC) == PROBLEM_COUNT)
		must(json_is_object(request->json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	char *environment[NAMES + 1] = {NULL};
	FCGX_Request fcgi = {.envp = environment};
	struct request request = {.arena = &arena, .fcgi = &fcgi};
	struct str rest = {(const char *)data, size};
	if (arena.cap == 0)
		arena_init(&arena, 8 << 20);
	for (size_t i = 0; i < NAMES && rest.n; i++) {
		const char *end = memchr(rest.p, '\n', rest.n);
		size_t n = end ? (size_t)(end - rest.p) : rest.n;
		environment[i] = arena_printf(&arena, "%s=%.*s", names[i], (int)n, rest.p);
		rest = end ? (struct str){end + 1, rest.n - n - 1} : STR("");
	}
	char *body = arena_copy(&arena, rest.p, rest.n); /* one of our own, as a read body is */
	request.body = body ? (struct str){body, rest.n} : STR("");
	if (request_parse(&request) == OK)
		check_parsed(&request);
	arena_reset(&arena);
	return 0;
}
