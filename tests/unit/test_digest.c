/* SHA-256 and HMAC-SHA-256 against published vectors: NIST (FIPS 180-4 examples), RFC 4231. */
#include "core/crypto/digest.h"

#include "core/base/text.h"
#include "tests/unit/tap.h"

#include <sys/mman.h>
#include <unistd.h>

static void test_vectors(void)
{
	static const struct {
		const char *text, *digest;
	} vectors[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};

	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		char hex[SHA256_HEX_SIZE] = {0};
		sha256_hex(vectors[i].text, strlen(vectors[i].text), hex);
		is_text(hex, vectors[i].digest, "sha256 vector");
	}
}

static void test_streaming(void)
{
	struct sha256 hash = {0};
	uint8_t digest[SHA256_SIZE] = {0};
	char hex[SHA256_HEX_SIZE] = {0}, thousand[1000];

	memset(thousand, 'a', sizeof thousand);
	is_i64(sha256_init(&hash), OK, "init");
	for (int i = 0; i < 1000; i++)
		sha256_update(&hash, thousand, sizeof thousand);
	sha256_final(&hash, digest);
	sha256_release(&hash);
	hex_encode(digest, sizeof digest, hex);
	is_text(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "a million times a, in pieces");
}

static void test_file(void)
{
	uint8_t digest[SHA256_SIZE] = {0};
	char hex[SHA256_HEX_SIZE] = {0}, piece[1000];
	int64_t size = -1;
	int fd = memfd_create("digest", MFD_CLOEXEC);
	bool written = true;

	memset(piece, 'a', sizeof piece);
	is_i64(sha256_fd(fd, digest, &size), OK, "an empty file");
	is_i64(size, 0, "has no bytes");
	/* Three reads of 1 MiB, the last one short. */
	for (int i = 0; i < 2500; i++)
		written = write(fd, piece, sizeof piece) == (ssize_t)sizeof piece && written;
	ok(written, "write");
	is_i64(sha256_fd(fd, digest, &size), OK, "a file, whatever its position");
	is_i64(size, 2500000, "size");
	hex_encode(digest, sizeof digest, hex);
	is_text(hex, "38a637965059125eeb67f54c30e7f48a61859a467a800ba09740ba48a924f2b9", "digest of the file");
	close(fd);
	is_i64(sha256_fd(fd, digest, NULL), ERR_IO, "a closed descriptor");
}

static void test_hmac(void)
{
	static const struct {
		const char *key, *text, *digest;
	} vectors[] = {
		{"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
		{"key", "The quick brown fox jumps over the lazy dog", "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"},
	};

	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct hmac_key key = {0};
		uint8_t digest[SHA256_SIZE] = {0};
		char hex[SHA256_HEX_SIZE] = {0};
		hmac_sha256(vectors[i].key, strlen(vectors[i].key), vectors[i].text, strlen(vectors[i].text), digest);
		hex_encode(digest, sizeof digest, hex);
		is_text(hex, vectors[i].digest, "hmac vector");
		is_i64(hmac_key_init(&key, vectors[i].key, strlen(vectors[i].key)), OK, "kept key");
		for (int again = 0; again < 2; again++) {
			hmac_key_sign(&key, vectors[i].text, strlen(vectors[i].text), digest);
			hex_encode(digest, sizeof digest, hex);
			is_text(hex, vectors[i].digest, "hmac with a kept key");
		}
		hmac_key_release(&key);
	}
}

static void test_long_key(void)
{
	uint8_t key[131], digest[SHA256_SIZE] = {0};
	char hex[SHA256_HEX_SIZE] = {0};

	memset(key, 0xaa, sizeof key);
	hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, digest);
	hex_encode(digest, sizeof digest, hex);
	is_text(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", "RFC 4231 case 6");
	hmac_sha256(NULL, 0, "", 0, digest);
	hex_encode(digest, sizeof digest, hex);
	is_text(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "no key is the empty key, not the last one");
}

int main(void)
{
	test_vectors();
	test_streaming();
	test_file();
	test_hmac();
	test_long_key();
	return tap_done();
}
