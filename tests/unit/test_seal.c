/* Sealed texts: they come back as they went, and nothing else opens. */
#include "core/crypto/seal.h"

#include "tests/unit/tap.h"

int main(void)
{
	struct seal seal, purpose, secret, other, swapped;
	struct arena arena;
	const char *payload = NULL;
	size_t n = 0;
	arena_init(&arena, 1 << 20);
	seal_init(&seal, "one secret", "another secret", "tickets");
	seal_init(&purpose, "one secret", "another secret", "ticket");
	seal_init(&secret, "One secret", "another secret", "tickets");
	seal_init(&other, "one secret", "", "tickets");
	seal_init(&swapped, "one secret", "another secret", "tickets");
	const char *text = seal_make(&seal, &arena, "{\"a\":1}", 7);
	ok(text != NULL, "made");
	if (!text)
		return tap_done();
	ok(seal_open(&swapped, &arena, text, 200, &payload, &n), "whoever has the same secrets opens it");
	is_text(payload, "{\"a\":1}", "the payload");
	is_i64((int64_t)n, 7, "its length");
	ok(!seal_open(&purpose, &arena, text, 200, &payload, &n), "another purpose");
	ok(!seal_open(&secret, &arena, text, 200, &payload, &n), "another secret");
	ok(!seal_open(&other, &arena, text, 200, &payload, &n), "another second secret");
	ok(!seal_open(&seal, &arena, text, strlen(text) - 1, &payload, &n), "longer than allowed");
	ok(seal_open(&seal, &arena, text, strlen(text), &payload, &n), "just as long as allowed");
	size_t opened = 0, length = strlen(text);
	for (size_t i = 0; i < length; i++) {
		char changed[200];
		memcpy(changed, text, length + 1);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		opened += seal_open(&seal, &arena, changed, sizeof(changed), &payload, &n);
	}
	is_i64((int64_t)opened, 0, "any character changed");
	ok(!seal_open(&seal, &arena, "", 200, &payload, &n) && !seal_open(&seal, &arena, ".", 200, &payload, &n), "nothing at all");
	arena_release(&arena);
	return tap_done();
}
