/* age files: both ways with the age program, and everything that is no longer the file that was written is refused. */
#include "core/crypto/age.h"

#include "core/base/buf.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/wait.h>
#include <unistd.h>

static enum err collect(void *context, const void *bytes, size_t n)
{
	return buf_append(context, bytes, n);
}

static struct sink into(struct buf *buf)
{
	buf_clear(buf);
	return (struct sink){collect, buf};
}

static struct age_identity own, escrow, other;
static struct age_stream stream;

static enum err seal(const char *bytes, size_t n, size_t step, struct buf *out)
{
	struct age_recipient recipients[2];
	memcpy(recipients[0].point, own.point, AGE_KEY);
	memcpy(recipients[1].point, escrow.point, AGE_KEY);
	enum err err = age_seal_start(&stream, recipients, 2, into(out));
	for (size_t at = 0; !err && at < n; at += step)
		err = age_seal_put(&stream, bytes + at, n - at < step ? n - at : step);
	if (!err)
		err = age_seal_finish(&stream);
	age_release(&stream);
	return err;
}

static enum err open_with(const struct age_identity *identity, const char *bytes, size_t n, size_t step, struct buf *out)
{
	enum err err = age_open_start(&stream, identity, into(out));
	for (size_t at = 0; !err && at < n; at += step)
		err = age_open_put(&stream, bytes + at, n - at < step ? n - at : step);
	if (!err)
		err = age_open_finish(&stream);
	age_release(&stream);
	return err;
}

static char plain[300000];
static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 200000};

static void test_round_trip(void)
{
	struct buf sealed, opened;
	buf_init(&sealed, 1 << 20);
	buf_init(&opened, 1 << 20);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool good = seal(plain, sizes[i], 40001, &sealed) == OK;
		good = good && open_with(&own, sealed.data, sealed.len, 7919, &opened) == OK && opened.len == sizes[i] && memcmp(buf_text(&opened), plain, sizes[i]) == 0;
		good = good && open_with(&escrow, sealed.data, sealed.len, 1 << 20, &opened) == OK && opened.len == sizes[i];
		ok(good, "%zu bytes, with either key", sizes[i]);
	}
	is_i64(open_with(&other, sealed.data, sealed.len, 1000, &opened), ERR_DENIED, "a key that it is not for");
	is_i64((int64_t)opened.len, 0, "learns nothing");
	buf_release(&sealed);
	buf_release(&opened);
}

/* Any one byte of the header changed, and bytes here and there of the payload; every cut; every addition. */
static void test_tampered(void)
{
	struct buf sealed, opened;
	int accepted = 0;
	buf_init(&sealed, 1 << 20);
	buf_init(&opened, 1 << 20);
	is_i64(seal(plain, 140000, 65536, &sealed), OK, "a file of three chunks");
	for (size_t at = 0; at < sealed.len; at += at < 500 ? 1 : 3571) {
		sealed.data[at] ^= 1;
		enum err err = open_with(&own, sealed.data, sealed.len, 65536, &opened);
		if (!err && accepted++ < 3)
			printf("# byte %zu\n", at);
		sealed.data[at] ^= 1;
	}
	is_i64(accepted, 0, "no changed byte is accepted");
	accepted = 0;
	for (size_t n = 0; n < sealed.len; n += n < 500 ? 1 : 3571)
		accepted += open_with(&own, sealed.data, n, 65536, &opened) == OK;
	size_t head = sealed.len - (140000 - 2 * AGE_CHUNK) - AGE_TAG;
	accepted += open_with(&own, sealed.data, head, 65536, &opened) == OK;
	is_i64(accepted, 0, "no cut file is accepted, at the end of a chunk neither");
	size_t length = sealed.len;
	buf_append_char(&sealed, 'x');
	ok(open_with(&own, sealed.data, sealed.len, 65536, &opened) == ERR_INVALID, "nothing may follow");
	sealed.len = length;
	buf_append(&sealed, sealed.data + length - 1000, 1000);
	ok(open_with(&own, sealed.data, sealed.len, 65536, &opened) == ERR_INVALID, "nor anything of the file itself");
	buf_release(&sealed);
	buf_release(&opened);
}

static void test_headers(void)
{
	static const struct {
		const char *from, *to, *name;
	} edits[] = {
		{"age-encryption.org/v1\n", "age-encryption.org/v2\n", "another version"},
		{"-> X25519 ", "-> X25519  ", "two blanks"},
		{"\n--- ", "=\n--- ", "padding"},
		{"-> X25519 ", "-> X25519 AAAA ", "one argument more"},
		{"\n", "\r\n", "other line ends"},
		{"\n--- ", "\n---  ", "a blank before the MAC"},
	};
	struct buf sealed, edited, opened;
	buf_init(&sealed, 1 << 20);
	buf_init(&edited, 1 << 20);
	buf_init(&opened, 1 << 20);
	is_i64(seal("hello", 5, 5, &sealed), OK, "a small file");
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		const char *at = memmem(sealed.data, sealed.len, edits[i].from, strlen(edits[i].from));
		size_t before = (size_t)(at - sealed.data), skip = before + strlen(edits[i].from);
		buf_clear(&edited);
		buf_append(&edited, sealed.data, before);
		buf_append_text(&edited, edits[i].to);
		buf_append(&edited, sealed.data + skip, sealed.len - skip);
		ok(open_with(&own, edited.data, edited.len, 100, &opened) != OK, "refused: %s", edits[i].name);
	}
	memset(plain, 'a', 20000);
	is_i64(open_with(&own, plain, 20000, 20000, &opened), ERR_INVALID, "a header without an end is not waited for");
	struct age_recipient none;
	is_i64(age_seal_start(&stream, &none, 0, into(&sealed)), ERR_INVALID, "nothing is encrypted to nobody");
	age_release(&stream);
	is_i64((int64_t)sealed.len, 0, "and nothing is written");
	buf_release(&sealed);
	buf_release(&edited);
	buf_release(&opened);
}

/* A new header in front of the payload that was there: who may open it changes, the payload does not. */
static void test_rewrap(void)
{
	struct age_recipient recipient;
	struct buf sealed, header, opened;
	size_t length = 0;
	int accepted = 0;
	buf_init(&sealed, 1 << 20);
	buf_init(&header, AGE_HEADER_MAX);
	buf_init(&opened, 1 << 20);
	memcpy(recipient.point, other.point, AGE_KEY);
	is_i64(seal(plain, 140000, 65536, &sealed), OK, "a file for two keys");
	size_t head = sealed.len < AGE_HEADER_MAX ? sealed.len : AGE_HEADER_MAX;
	is_i64(age_rewrap(sealed.data, head, &other, &recipient, 1, &header, &length), ERR_DENIED, "whom it is not for cannot rewrap it");
	is_i64(age_rewrap(sealed.data, 100, &own, &recipient, 1, &header, &length), ERR_INVALID, "nor is half a header one");
	is_i64(age_rewrap(sealed.data, head, &own, &recipient, 0, &header, &length), ERR_INVALID, "nor is it rewrapped for nobody");
	is_i64((int64_t)header.len, 0, "nothing was written");
	is_i64(age_rewrap(sealed.data, head, &escrow, &recipient, 1, &header, &length), OK, "for another key");
	struct buf whole;
	buf_init(&whole, 1 << 20);
	buf_append(&whole, header.data, header.len);
	buf_append(&whole, sealed.data + length, sealed.len - length);
	is_i64(open_with(&other, whole.data, whole.len, 7919, &opened), OK, "that key opens it");
	ok(opened.len == 140000 && memcmp(opened.data, plain, 140000) == 0, "and finds what was there");
	is_i64(open_with(&own, whole.data, whole.len, 7919, &opened), ERR_DENIED, "the former ones do not");
	for (size_t at = 0; at < length; at++) {
		sealed.data[at] ^= 1;
		buf_clear(&header);
		accepted += age_rewrap(sealed.data, head, &own, &recipient, 1, &header, &length) == OK;
		sealed.data[at] ^= 1;
	}
	is_i64(accepted, 0, "a header that was changed is not rewrapped");
	buf_release(&sealed);
	buf_release(&header);
	buf_release(&whole);
	buf_release(&opened);
}

static void test_keys(void)
{
	static const char *const wrong[] = {
		"", "age1", "AGE1ZVKYG2LQZRAA2LNJVQEJ32NKUU0UES2S82HZRYE869XEEXVN73EQU4Q2T3",
		"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwk", /* one character */
		"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwjx",
		"age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqrmk4w", /* the point 0 */
	};
	char text[AGE_TEXT_SIZE], list[400], secret[AGE_TEXT_SIZE + 60];
	struct age_recipient recipient, many[AGE_RECIPIENTS_MAX];
	struct age_identity identity;
	size_t count = 7;
	memcpy(recipient.point, own.point, AGE_KEY);
	age_recipient_text(&recipient, text);
	is_i64((int64_t)strlen(text), 62, "a public key has 62 characters");
	ok(age_recipient_parse(text, &recipient) == OK && memcmp(recipient.point, own.point, AGE_KEY) == 0, "and comes back");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		is_i64(age_recipient_parse(wrong[i], &recipient), ERR_INVALID, *wrong[i] ? wrong[i] : "(nothing)");
	age_identity_text(&own, secret);
	ok(strlen(secret) == 74 && strncmp(secret, "AGE-SECRET-KEY-1", 16) == 0, "a secret key is in capitals");
	ok(age_identity_parse(secret, &identity) == OK && memcmp(&identity, &own, sizeof(own)) == 0, "and comes back");
	snprintf(list, sizeof(list), "# created: today\n# public key: %s\n\n%s\n", text, secret);
	is_i64(age_identity_parse(list, &identity), OK, "also from a file of age-keygen");
	is_i64(age_identity_parse("# nothing\n", &identity), ERR_INVALID, "not from a file without one");
	snprintf(list, sizeof(list), "%s age1x", text);
	is_i64(age_recipients_parse(list, many, &count), ERR_INVALID, "a list with one that does not parse is none");
	snprintf(list, sizeof(list), "%s, %s", text, text);
	is_i64(age_recipients_parse(list, many, &count), ERR_INVALID, "nor one that names a key twice");
	is_i64((int64_t)count, 7, "and nothing of it is kept");
	memcpy(recipient.point, escrow.point, AGE_KEY);
	age_recipient_text(&recipient, secret);
	snprintf(list, sizeof(list), " %s,\n%s ", text, secret);
	ok(age_recipients_parse(list, many, &count) == OK && count == 2, "two keys");
	ok(age_recipients_parse(" ", many, &count) == OK && count == 0, "none");
}

/* ---- with the age program ---- */

static char directory[] = "/tmp/tidegate-age-XXXXXX";

__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
	char command[1000];
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pid_t pid = fork();
	if (pid == 0) {
		if (chdir(directory) == 0)
			execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	int status = -1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int open_in_directory(const char *name, int flags)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open(path, flags | O_CLOEXEC, 0600);
}

static bool save(const char *name, const void *bytes, size_t n)
{
	int fd = open_in_directory(name, O_WRONLY | O_CREAT | O_TRUNC);
	bool good = fd >= 0 && write(fd, bytes, n) == (ssize_t)n;
	return close(fd) == 0 && good;
}

static bool load(const char *name, struct buf *out)
{
	int fd = open_in_directory(name, O_RDONLY);
	ssize_t n = 0;
	buf_clear(out);
	for (char *to; (to = buf_reserve(out, 100000)) && (n = read(fd, to, 100000)) > 0;)
		out->len += (size_t)n;
	close(fd);
	if (out->data)
		out->data[out->len] = '\0';
	return n == 0;
}

static void test_program(void)
{
	struct buf sealed, opened;
	char own_text[AGE_TEXT_SIZE], escrow_text[AGE_TEXT_SIZE], secret[AGE_TEXT_SIZE];
	struct age_recipient recipient;
	buf_init(&sealed, 1 << 20);
	buf_init(&opened, 1 << 20);
	if (!ok(mkdtemp(directory) != NULL, "a directory"))
		return;
	memcpy(recipient.point, own.point, AGE_KEY);
	age_recipient_text(&recipient, own_text);
	memcpy(recipient.point, escrow.point, AGE_KEY);
	age_recipient_text(&recipient, escrow_text);
	age_identity_text(&escrow, secret);
	ok(save("key", secret, strlen(secret)), "the key for age");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool good = seal(plain, sizes[i], 65536, &sealed) == OK && save("ours.age", sealed.data, sealed.len);
		good = good && shell("age -d -i key ours.age > plain") && load("plain", &opened) && opened.len == sizes[i] && memcmp(buf_text(&opened), plain, sizes[i]) == 0;
		ok(good, "age opens ours, %zu bytes", sizes[i]);
		good = save("plain", plain, sizes[i]) && shell("age -r %s -r %s plain > theirs.age", own_text, escrow_text);
		good = good && load("theirs.age", &sealed) && open_with(&own, sealed.data, sealed.len, 10000, &opened) == OK && opened.len == sizes[i] &&
		       memcmp(buf_text(&opened), plain, sizes[i]) == 0;
		ok(good, "we open what age wrote, %zu bytes", sizes[i]);
	}
	ok(shell("age-keygen -o made 2>/dev/null && age-keygen -y made | tr -d '\\n' > made.pub") && load("made.pub", &opened), "a key of age-keygen");
	struct age_identity made;
	ok(age_recipient_parse(buf_text(&opened), &recipient) == OK && load("made", &sealed) && age_identity_parse(buf_text(&sealed), &made) == OK &&
	       memcmp(made.point, recipient.point, AGE_KEY) == 0,
	   "its two halves belong together here too");
	ok(shell("rm -r %s", directory), "cleaned up");
	buf_release(&sealed);
	buf_release(&opened);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	is_i64(age_identity_new(&own) | age_identity_new(&escrow) | age_identity_new(&other), OK, "three keys");
	randombytes_buf(plain, sizeof(plain));
	test_keys();
	test_round_trip();
	test_tampered();
	test_program();
	test_headers();
	test_rewrap();
	return tap_done();
}
