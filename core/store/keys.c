/* What a key may be. Called wherever keys are made or taken. Must never let one through that means another path. */
#include "core/store/store.h"

#include "core/base/text.h"
#include "core/crypto/digest.h"

#include <string.h>

enum { SEGMENT_MAX = 120 };

static bool is_key_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '~' || c == '%' || c == '-';
}

static bool segment_valid(struct str s)
{
	if (s.n == 0 || str_equal_text(s, ".") || str_equal_text(s, ".."))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_key_character(s.p[i]))
			return false;
	return true;
}

bool store_key_valid(const char *key)
{
	size_t n = strlen(key);
	if (n == 0 || n > STORE_KEY_MAX)
		return false;
	for (const char *p = key;; p++) {
		size_t length = strcspn(p, "/");
		if (!segment_valid((struct str){p, length}))
			return false;
		p += length;
		if (!*p)
			return true;
	}
}

const char *store_key_segment(struct arena *arena, const char *text)
{
	struct buf encoded;
	char digest[SHA256_HEX_SIZE];
	const char *segment = NULL;
	buf_init(&encoded, SEGMENT_MAX);
	bool dots = text_equal(text, ".") || text_equal(text, "..");
	if (*text && !dots && !percent_encode(&encoded, text, strlen(text), false)) {
		segment = arena_strdup(arena, buf_text(&encoded));
	} else {
		sha256_hex(text, strlen(text), digest);
		segment = arena_printf(arena, "~%s", digest);
	}
	buf_release(&encoded);
	return segment;
}
