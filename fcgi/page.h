/*
 * Pages of lists that go by time and id, newest first: `?limit=&cursor=` in, `nextCursor` out. A cursor is opaque to
 * clients: base64url of "microseconds,uuid" of the last item of a page.
 */
#ifndef TIDEGATE_FCGI_PAGE_H
#define TIDEGATE_FCGI_PAGE_H

#include "fcgi/response.h"

enum { PAGE_DEFAULT = 20, PAGE_MAX = 500 };

struct page {
	int64_t limit;  /* items of this page */
	const char *at; /* microseconds since 1970 and id of the last item of the page before; NULL on the first page */
	const char *id;
};

/* Reads limit and cursor. False after a refusal naming the one that is wrong. */
bool page_read(struct response *response, struct page *ret);

/*
 * Writes nextCursor. The statement asked for limit + 1 rows: when it has them, the cursor stands for row number `limit`, whose
 * first column is the id and whose last one the microseconds; null otherwise.
 */
void page_put_cursor(struct json_writer *w, struct arena *arena, const struct page *page, const struct pg_rows *rows);

/* How many of the rows belong on the page. */
int page_count(const struct page *page, const struct pg_rows *rows);

#endif
