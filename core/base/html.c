/* Escapes text for HTML. Called by pages. Must never let a character through that ends a text or an attribute. */
#include "core/base/html.h"

#include "core/base/text.h"

#include <string.h>

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void html_put(struct buf *out, const char *text)
{
	size_t n = text ? strlen(text) : 0;
	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		size_t length = utf8_decode(text + i, n - i, &c);
		const char *known = entity(text[i]);
		if (known)
			buf_append_text(out, known);
		else if (!length || (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f))
			buf_append_text(out, "\xef\xbf\xbd");
		else
			buf_append(out, text + i, length);
		i += length ? length : 1;
	}
}
