/* Base64: the vectors of RFC 4648 both ways, and everything a strict decoder must refuse. */
#include "core/crypto/base64.h"

#include "tests/unit/tap.h"

static void test_vectors(void)
{
	static const struct {
		const char *raw, *plain, *url;
	} vectors[] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"},
		{"fooba", "Zm9vYmE=", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
		{"\xfb\xff\xfe", "+//+", "-__-"},
	};

	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct buf out;
		char raw[16] = {0};
		size_t n = 99;
		buf_init(&out, 64);
		base64_encode(&out, vectors[i].raw, strlen(vectors[i].raw));
		is_text(buf_text(&out), vectors[i].plain, "base64");
		buf_clear(&out);
		base64url_encode(&out, vectors[i].raw, strlen(vectors[i].raw));
		is_text(buf_text(&out), vectors[i].url, "base64url");
		buf_release(&out);
		is_i64(base64_decode(vectors[i].plain, strlen(vectors[i].plain), raw, sizeof raw, &n), OK, "base64 back");
		ok(n == strlen(vectors[i].raw) && memcmp(raw, vectors[i].raw, n) == 0, "the same bytes");
		n = 99;
		is_i64(base64url_decode(vectors[i].url, strlen(vectors[i].url), raw, sizeof raw, &n), OK, "base64url back");
		ok(n == strlen(vectors[i].raw) && memcmp(raw, vectors[i].raw, n) == 0, "the same bytes");
	}
}

static void test_refusals(void)
{
	static const struct {
		bool url;
		const char *text, *what;
	} refused[] = {
		{false, "Zg", "padding missing"},
		{false, "Zg=", "half of the padding"},
		{false, "Zg===", "too much padding"},
		{false, "Zg==Zg==", "padding inside"},
		{false, "=Zg=", "padding in front"},
		{false, "====", "padding alone"},
		{false, "Z===", "one character is no byte"},
		{false, "Zh==", "trailing bits after one byte"},
		{false, "Zm9=", "trailing bits after two bytes"},
		{false, "Zm9v\n", "a line break"},
		{false, "Zm 9v===", "a blank"},
		{false, "Zm9v\nZm9", "a line break inside"},
		{false, "-__-", "the other alphabet"},
		{true, "+//+", "the other alphabet"},
		{true, "Zg==", "padding"},
		{true, "Z", "one character"},
		{true, "Zm9vZ", "five characters"},
		{true, "Zh", "trailing bits after one byte"},
		{true, "Zm9", "trailing bits after two bytes"},
		{true, "Zm9v ", "a blank"},
		{true, "Zm\xc3\xa9", "beyond ASCII"},
		{true, "Zm9.", "a dot"},
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		char raw[16] = {0};
		size_t n = 77;
		enum err err = (refused[i].url ? base64url_decode : base64_decode)(refused[i].text, strlen(refused[i].text), raw, sizeof raw, &n);
		ok(err == ERR_INVALID && n == 77, "refused: %s", refused[i].what);
	}
}

static void test_limits(void)
{
	char raw[4] = {0};
	size_t n = 0;
	struct buf out;

	is_i64(base64url_decode("Zm9vYg", 6, raw, 4, &n), OK, "exactly the room");
	is_i64(base64url_decode("Zm9vYg", 6, raw, 3, &n), ERR_TOO_LARGE, "one byte too few");
	is_i64(base64url_decode("A\0BC", 4, raw, 4, &n), ERR_INVALID, "a NUL");
	buf_init(&out, 3);
	is_i64(base64_encode(&out, "foo", 3), ERR_TOO_LARGE, "the cap of the buffer");
	buf_release(&out);
}

static void test_every_byte(void)
{
	bool good = true;

	for (unsigned i = 0; i < 65536; i++) {
		char raw[2] = {(char)(i >> 8), (char)i}, back[4] = {0};
		size_t n = 0;
		struct buf out;
		buf_init(&out, 8);
		base64url_encode(&out, raw, 2);
		good = good && base64url_decode(out.data, out.len, back, sizeof back, &n) == OK && n == 2 && memcmp(raw, back, 2) == 0;
		buf_release(&out);
	}
	ok(good, "every pair of bytes comes back");
}

int main(void)
{
	test_vectors();
	test_refusals();
	test_limits();
	test_every_byte();
	return tap_done();
}
