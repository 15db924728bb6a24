/* Calls signed by a hosted queue: the published token under both keys, and everything that must not pass. */
#include "core/crypto/queue_signature.h"
#include "tests/unit/tap.h"
#include "tests/unit/token_tools.h"

#define NOW 1656580400
#define URL "https://example.com/hook"
#define BODY "{\"hello\":\"world\"}"
#define DIGEST "k6I5cakU5erL8KjSUVTNownDwccvu5kU1Hxg88toFYg"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define TIMES "\"exp\":1656580612,\"nbf\":1656580312,\"iat\":1656580312"

static struct arena arena;
static struct queue_call call;

static const char published[] =
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJVcHN0YXNoIiwic3ViIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9ob29rIiwiZXhwIjoxNjU2NTgwNjEyLCJuYmYi"
	"OjE2NTY1ODAzMTIsImlhdCI6MTY1NjU4MDMxMiwianRpIjoiand0XzY3a3hYRDZVQkFrN0RxVTZoenVITURkWEZYZlAiLCJib2R5IjoiazZJNWNha1U1ZXJMOEtqU1VWVE5vd25E"
	"d2NjdnU1a1UxSHhnODh0b0ZZZz0ifQ.";
static const struct {
	const char *signature;
	const char *current, *next;
	enum jwt_reason reason;
} keys_cases[] = {
	{"oFPGMoTpc7EGtVpRsbPxSCpzo_jaoA517n04okY1wxA", "sig_current", "sig_next", JWT_OK},
	{"w03StdbDYUNHSIrUriWtG1tKzDFAc41u3IoicJ1CN00", "sig_current", "sig_next", JWT_OK},
	{"w03StdbDYUNHSIrUriWtG1tKzDFAc41u3IoicJ1CN00", "", "sig_next", JWT_OK},
	{"oFPGMoTpc7EGtVpRsbPxSCpzo_jaoA517n04okY1wxA", "sig_current", "", JWT_OK},
	{"w03StdbDYUNHSIrUriWtG1tKzDFAc41u3IoicJ1CN00", "sig_current", "", JWT_BAD_SIGNATURE},
	{"oFPGMoTpc7EGtVpRsbPxSCpzo_jaoA517n04okY1wxA", "sig_curren", "sig_current ", JWT_BAD_SIGNATURE},
	{"oFPGMoTpc7EGtVpRsbPxSCpzo_jaoA517n04okY1wxA", "", "", JWT_KEYS_UNAVAILABLE},
	{"oFPGMoTpc7EGtVpRsbPxSCpzo_jaoA517n04okY1wxB", "sig_current", "sig_next", JWT_BAD_SIGNATURE},
	{"", "sig_current", "sig_next", JWT_BAD_SIGNATURE},
};

static void is_reason(enum jwt_reason got, enum jwt_reason expected, const char *what)
{
	ok(got == expected, "%s: %s", jwt_reason_name(expected), what);
	if (got != expected)
		printf("# got: %s\n", jwt_reason_name(got));
}

static enum jwt_reason verify(const char *current, const char *next, struct str token, const char *url, struct str body, int64_t now)
{
	struct queue_keys keys;
	arena_reset(&arena);
	if (queue_keys_init(&keys, current, next))
		return JWT_NO_MEMORY;
	enum jwt_reason reason = queue_signature_verify(&arena, &keys, token, url, body, now, 30, &call);
	queue_keys_release(&keys);
	return reason;
}

static void test_published(void)
{
	struct buf token;
	buf_init(&token, 4096);
	for (size_t i = 0; i < sizeof keys_cases / sizeof *keys_cases; i++) {
		buf_clear(&token);
		buf_printf(&token, "%s%s", published, keys_cases[i].signature);
		struct str text = {token.data, token.len};
		is_reason(verify(keys_cases[i].current, keys_cases[i].next, text, URL, STR(BODY), NOW), keys_cases[i].reason, "the published token");
		if (keys_cases[i].reason == JWT_OK) {
			is_text(call.jti, "jwt_67kxXD6UBAk7DqU6hzuHMDdXFXfP", "its id");
			is_i64(call.exp, 1656580612, "its end");
		}
	}
	buf_clear(&token);
	buf_printf(&token, "%s%s", published, keys_cases[0].signature);
	struct str text = {token.data, token.len};
	is_reason(verify("sig_current", "", text, URL, STR("{\"hello\":\"World\"}"), NOW), JWT_WRONG_BODY, "another body");
	is_reason(verify("sig_current", "", text, URL, (struct str){NULL, 0}, NOW), JWT_WRONG_BODY, "no body");
	is_reason(verify("sig_current", "", text, URL "/", STR(BODY), NOW), JWT_WRONG_SUBJECT, "another address");
	is_reason(verify("sig_current", "", text, URL "?x", STR(BODY), NOW), JWT_WRONG_SUBJECT, "a query that was not signed");
	is_reason(verify("sig_current", "", text, URL, STR(BODY), 1656580641), JWT_OK, "within the leeway after its end");
	is_reason(verify("sig_current", "", text, URL, STR(BODY), 1656580642), JWT_EXPIRED, "past it");
	is_reason(verify("sig_current", "", text, URL, STR(BODY), 1656580282), JWT_OK, "within the leeway before its beginning");
	is_reason(verify("sig_current", "", text, URL, STR(BODY), 1656580281), JWT_NOT_YET_VALID, "before it");
	is_reason(verify("sig_current", "", (struct str){text.p, text.n - 44}, URL, STR(BODY), NOW), JWT_MALFORMED, "two parts");
	is_reason(verify("sig_current", "", (struct str){NULL, 0}, URL, STR(BODY), NOW), JWT_MALFORMED, "nothing");
	buf_release(&token);
}

#define CLAIMS(iss, sub, times, rest) "{\"iss\":\"" iss "\",\"sub\":\"" sub "\"," times rest "}"
#define REST ",\"jti\":\"j1\",\"body\":\"" DIGEST "\""

static const struct {
	const char *what, *header, *payload;
	enum jwt_reason reason;
} made[] = {
	{"without padding", HEADER, CLAIMS("Upstash", URL, TIMES, REST), JWT_OK},
	{"more padding than there should be", HEADER, CLAIMS("Upstash", URL, TIMES, ",\"jti\":\"j1\",\"body\":\"" DIGEST "==\""), JWT_OK},
	{"half a digest", HEADER, CLAIMS("Upstash", URL, TIMES, ",\"jti\":\"j1\",\"body\":\"k6I5cakU5erL8KjSUVTNow\""), JWT_WRONG_BODY},
	{"an empty digest", HEADER, CLAIMS("Upstash", URL, TIMES, ",\"jti\":\"j1\",\"body\":\"\""), JWT_WRONG_BODY},
	{"padding alone", HEADER, CLAIMS("Upstash", URL, TIMES, ",\"jti\":\"j1\",\"body\":\"====\""), JWT_WRONG_BODY},
	{"no digest", HEADER, CLAIMS("Upstash", URL, TIMES, ",\"jti\":\"j1\""), JWT_BAD_CLAIM},
	{"a digest that is no text", HEADER, CLAIMS("Upstash", URL, TIMES, ",\"jti\":\"j1\",\"body\":7"), JWT_BAD_CLAIM},
	{"no id", HEADER, CLAIMS("Upstash", URL, TIMES, ",\"body\":\"" DIGEST "\""), JWT_BAD_CLAIM},
	{"two digests", HEADER, CLAIMS("Upstash", URL, TIMES, REST ",\"body\":\"" DIGEST "\""), JWT_MALFORMED},
	{"two ids", HEADER, CLAIMS("Upstash", URL, TIMES, REST ",\"jti\":\"j2\""), JWT_MALFORMED},
	{"another issuer", HEADER, CLAIMS("upstash", URL, TIMES, REST), JWT_WRONG_ISSUER},
	{"no end", HEADER, CLAIMS("Upstash", URL, "\"nbf\":1656580312", REST), JWT_BAD_CLAIM},
	{"alg none", "{\"alg\":\"none\",\"typ\":\"JWT\"}", CLAIMS("Upstash", URL, TIMES, REST), JWT_REFUSED_HEADER},
	{"alg HS384", "{\"alg\":\"HS384\",\"typ\":\"JWT\"}", CLAIMS("Upstash", URL, TIMES, REST), JWT_REFUSED_HEADER},
	{"alg RS256", "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", CLAIMS("Upstash", URL, TIMES, REST), JWT_UNKNOWN_KEY},
	{"a key id", "{\"alg\":\"HS256\",\"kid\":\"x\"}", CLAIMS("Upstash", URL, TIMES, REST), JWT_UNKNOWN_KEY},
};

static void test_made(void)
{
	struct buf token;
	buf_init(&token, 4096);
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		tools_hs256(&token, "sig_current", 11, made[i].header, made[i].payload);
		is_reason(verify("sig_current", "sig_next", (struct str){token.data, token.len}, URL, STR(BODY), NOW), made[i].reason, made[i].what);
	}
	tools_hs256(&token, "", 0, HEADER, CLAIMS("Upstash", URL, TIMES, REST));
	is_reason(verify("sig_current", "", (struct str){token.data, token.len}, URL, STR(BODY), NOW), JWT_BAD_SIGNATURE, "signed with an empty key");
	buf_release(&token);
}

int main(void)
{
	arena_init(&arena, 1 << 20);
	test_published();
	test_made();
	arena_release(&arena);
	return tap_done();
}
