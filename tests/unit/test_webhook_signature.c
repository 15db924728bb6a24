/* Webhook signatures: the published vector, every rule of a verifier, and secrets that are none. */
#include "core/crypto/webhook_signature.h"
#include "tests/unit/tap.h"

#include <sodium.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define AT 1614265330
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static struct webhook_key key, other;

static void test_sign(void)
{
	struct buf out;
	buf_init(&out, 256);
	is_i64(webhook_sign(&key, ID, AT, STR(BODY), &out), OK, "the published vector");
	is_text(buf_text(&out), SIGNATURE, "has the published signature");
	is_i64(webhook_sign(&other, ID, AT, STR(BODY), &out), OK, "a second key");
	ok(strncmp(buf_text(&out), SIGNATURE " v1,", strlen(SIGNATURE) + 4) == 0, "is added after a blank");
	struct webhook_received both = {ID, "1614265330", buf_text(&out), STR(BODY)};
	ok(webhook_verify(&key, &both, AT) == WEBHOOK_OK && webhook_verify(&other, &both, AT) == WEBHOOK_OK, "and either key verifies");
	buf_clear(&out);
	is_i64(webhook_sign(&key, "a.b", AT, STR(BODY), &out), ERR_INVALID, "an id with a dot");
	is_i64(webhook_sign(&key, "", AT, STR(BODY), &out), ERR_INVALID, "no id");
	is_text(buf_text(&out), "", "leave nothing behind");
	buf_release(&out);
	buf_init(&out, 10);
	is_i64(webhook_sign(&key, ID, AT, STR(BODY), &out), ERR_TOO_LARGE, "no room");
	buf_release(&out);
}

static const struct {
	const char *what, *id, *timestamp, *signatures, *body;
	enum webhook_reason reason;
} cases[] = {
    {"as published", ID, "1614265330", SIGNATURE, BODY, WEBHOOK_OK},
    {"one valid among several", ID, "1614265330", "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5 " SIGNATURE, BODY, WEBHOOK_OK},
    {"blanks around it", ID, "1614265330", "  " SIGNATURE "  ", BODY, WEBHOOK_OK},
    {"no id", NULL, "1614265330", SIGNATURE, BODY, WEBHOOK_HEADER_MISSING},
    {"an empty id", "", "1614265330", SIGNATURE, BODY, WEBHOOK_HEADER_MISSING},
    {"no timestamp", ID, NULL, SIGNATURE, BODY, WEBHOOK_HEADER_MISSING},
    {"no signature", ID, "1614265330", NULL, BODY, WEBHOOK_HEADER_MISSING},
    {"a timestamp that is no number", ID, "now", SIGNATURE, BODY, WEBHOOK_BAD_TIMESTAMP},
    {"an empty timestamp", ID, "", SIGNATURE, BODY, WEBHOOK_BAD_TIMESTAMP},
    {"a fraction", ID, "1614265330.5", SIGNATURE, BODY, WEBHOOK_BAD_TIMESTAMP},
    {"a negative one", ID, "-1614265330", SIGNATURE, BODY, WEBHOOK_BAD_TIMESTAMP},
    {"one out of range", ID, "99999999999999999999999999", SIGNATURE, BODY, WEBHOOK_BAD_TIMESTAMP},
    {"a number beside it", ID, "1614265330 ", SIGNATURE, BODY, WEBHOOK_BAD_TIMESTAMP},
    {"another spelling of the number", ID, "01614265330", SIGNATURE, BODY, WEBHOOK_BAD_SIGNATURE},
    {"too old", ID, "1614265029", SIGNATURE, BODY, WEBHOOK_TOO_OLD},
    {"too new", ID, "1614265631", SIGNATURE, BODY, WEBHOOK_TOO_NEW},
    {"old, but not too old: another signature", ID, "1614265030", SIGNATURE, BODY, WEBHOOK_BAD_SIGNATURE},
    {"another id", ID "x", "1614265330", SIGNATURE, BODY, WEBHOOK_BAD_SIGNATURE},
    {"another body", ID, "1614265330", SIGNATURE, BODY " ", WEBHOOK_BAD_SIGNATURE},
    {"no body", ID, "1614265330", SIGNATURE, "", WEBHOOK_BAD_SIGNATURE},
    {"an empty list", ID, "1614265330", "", BODY, WEBHOOK_BAD_SIGNATURE},
    {"v1 alone", ID, "1614265330", "v1,", BODY, WEBHOOK_BAD_SIGNATURE},
    {"without a version", ID, "1614265330", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BODY, WEBHOOK_BAD_SIGNATURE},
    {"another version", ID, "1614265330", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BODY, WEBHOOK_BAD_SIGNATURE},
    {"without padding", ID, "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE", BODY, WEBHOOK_BAD_SIGNATURE},
    {"cut short", ID, "1614265330", "v1,g0hM9SsE+OTPJTGt", BODY, WEBHOOK_BAD_SIGNATURE},
    {"commas instead of blanks", ID, "1614265330", "v1,x," SIGNATURE, BODY, WEBHOOK_BAD_SIGNATURE},
};

static void test_verify(void)
{
	struct buf out;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct webhook_received received = {cases[i].id, cases[i].timestamp, cases[i].signatures, str_of(cases[i].body)};
		is_i64(webhook_verify(&key, &received, AT), cases[i].reason, cases[i].what);
	}
	const struct webhook_received published = {ID, "1614265330", SIGNATURE, STR(BODY)};
	is_i64(webhook_verify(&other, &published, AT), WEBHOOK_BAD_SIGNATURE, "another key");
	is_i64(webhook_verify(&key, &published, AT + 300), WEBHOOK_OK, "300 s later");
	is_i64(webhook_verify(&key, &published, AT + 301), WEBHOOK_TOO_OLD, "301 s later");
	is_i64(webhook_verify(&key, &published, AT - 300), WEBHOOK_OK, "300 s before");
	is_i64(webhook_verify(&key, &published, AT - 301), WEBHOOK_TOO_NEW, "301 s before");
	buf_init(&out, 128);
	ok(webhook_sign(&key, ID, AT, (struct str){NULL, 0}, &out) == OK, "an empty body can be signed");
	const struct webhook_received empty = {ID, "1614265330", buf_text(&out), {NULL, 0}};
	is_i64(webhook_verify(&key, &empty, AT), WEBHOOK_OK, "and verified");
	buf_release(&out);
}

static void test_secrets(void)
{
	static const char *const none[] = {
	    "", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFQ==", "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};
	struct webhook_key parsed = {.n = 7};
	char made[2][WEBHOOK_SECRET_SIZE];
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ok(webhook_key_parse(none[i], &parsed) == ERR_INVALID && parsed.n == 7, "no secret: \"%s\"", none[i]);
	ok(webhook_key_parse(NULL, &parsed) == ERR_INVALID, "none at all");
	webhook_secret_make(made[0]);
	webhook_secret_make(made[1]);
	ok(strcmp(made[0], made[1]) != 0, "two secrets differ");
	ok(webhook_key_parse(made[0], &parsed) == OK && parsed.n == 32, "a new secret has 32 bytes");
	webhook_key_wipe(&parsed);
	is_i64((int64_t)parsed.n, 0, "a wiped key is gone");
}

int main(void)
{
	ok(sodium_init() >= 0, "libsodium");
	ok(webhook_key_parse(SECRET, &key) == OK && key.n == 24, "the published secret");
	ok(webhook_key_parse(OTHER, &other) == OK, "another one");
	test_sign();
	test_verify();
	test_secrets();
	return tap_done();
}
