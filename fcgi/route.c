/*
 * Matching a path against the tables. Called once per request by the dispatcher.
 * Must never match by prefix: every segment counts.
 */
#include "fcgi/route.h"

#include <string.h>

static const char *const method_names[] = {
    [METHOD_GET] = "GET", [METHOD_HEAD] = "HEAD", [METHOD_POST] = "POST", [METHOD_PUT] = "PUT",
    [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE", [METHOD_OPTIONS] = "OPTIONS", [METHOD_OTHER] = "",
};

static bool match(struct request *request, const char *pattern)
{
	size_t segment = 0, values = 0;
	const char *p = pattern;
	struct str found[4];
	while (*p == '/') {
		p++;
		size_t n = strcspn(p, "/");
		if (segment == request->segment_count)
			return false;
		struct str part = request->segments[segment++];
		if (n >= 2 && p[0] == '{') {
			if (part.n == 0 || values == sizeof(found) / sizeof(found[0]))
				return false;
			found[values++] = part;
		} else if (!str_equal(part, (struct str){p, n})) {
			return false;
		}
		p += n;
	}
	if (segment != request->segment_count)
		return false;
	memcpy(request->path_values, found, values * sizeof(found[0]));
	request->path_value_count = values;
	return true;
}

const struct route *route_find(struct request *request, const struct route_table *tables, size_t table_count, const char **ret_allow)
{
	bool allowed[METHOD_OTHER] = {false};
	bool any = false;
	enum method wanted = request->method == METHOD_HEAD ? METHOD_GET : request->method;
	for (size_t t = 0; t < table_count; t++)
		for (size_t r = 0; r < tables[t].count; r++) {
			const struct route *route = &tables[t].routes[r];
			if (!match(request, route->pattern))
				continue;
			if (route->method == wanted)
				return route;
			any = true;
			allowed[route->method] = true;
		}
	*ret_allow = NULL;
	if (!any)
		return NULL;
	allowed[METHOD_HEAD] = allowed[METHOD_GET];
	allowed[METHOD_OPTIONS] = true;
	const char *list = "";
	for (int m = 0; m < METHOD_OTHER; m++)
		if (allowed[m])
			list = arena_printf(request->arena, "%s%s%s", list ? list : "", list && *list ? ", " : "", method_names[m]);
	*ret_allow = list;
	return NULL;
}
