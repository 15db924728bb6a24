/*
 * Cursors of lists. Called by the handlers that list things by time.
 * Must never trust a cursor: it comes from a client.
 */
#include "fcgi/page.h"

#include "core/crypto/base64.h"
#include "fcgi/fields.h"

#include <string.h>

enum { CURSOR_MAX = 128 };

static bool read_cursor(struct response *response, struct str cursor, struct page *ret)
{
	struct arena *arena = response->request->arena;
	char text[CURSOR_MAX];
	size_t length = 0;
	int64_t at;
	if (cursor.n < CURSOR_MAX && base64url_decode(cursor.p, cursor.n, text, sizeof(text) - 1, &length) == OK) {
		text[length] = '\0';
		char *comma = memchr(text, ',', length);
		if (comma && strlen(text) == length && is_uuid(comma + 1) && parse_i64_n(text, (size_t)(comma - text), 0, INT64_MAX / 2, &at) == OK) {
			ret->at = arena_copy(arena, text, (size_t)(comma - text));
			ret->id = arena_strdup(arena, comma + 1);
			return true;
		}
	}
	refuse_field(response, PROBLEM_INVALID_CURSOR, "cursor", "from nextCursor of the page before");
	return false;
}

bool page_read(struct response *response, struct page *ret)
{
	struct str cursor = request_query(response->request, "cursor");
	*ret = (struct page){0};
	if (!query_i64(response, "limit", PAGE_DEFAULT, 1, PAGE_MAX, &ret->limit))
		return false;
	return !cursor.p || read_cursor(response, cursor, ret);
}

int page_count(const struct page *page, const struct pg_rows *rows)
{
	return rows->count > page->limit ? (int)page->limit : rows->count;
}

void page_put_cursor(struct json_writer *w, struct arena *arena, const struct page *page, const struct pg_rows *rows)
{
	struct buf encoded;
	int last = (int)page->limit - 1;
	if (rows->count <= page->limit) {
		json_put_null(w, "nextCursor");
		return;
	}
	const char *text = arena_printf(arena, "%s,%s", pg_text(rows, last, PQnfields(rows->result) - 1), pg_text(rows, last, 0));
	buf_init(&encoded, (size_t)CURSOR_MAX * 2);
	if (text)
		base64url_encode(&encoded, text, strlen(text));
	json_put_text(w, "nextCursor", buf_text(&encoded));
	buf_release(&encoded);
}
