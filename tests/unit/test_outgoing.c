/* URLs of strangers: lists of networks and ports, and every way to write an address that must not be reached. */
#include "core/net/outgoing.h"
#include "tests/unit/tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct arena arena;
static const char *why;

static struct outgoing made(const char *networks, const char *ports)
{
	struct outgoing outgoing = {.port_count = 0};
	ok(outgoing_init(&arena, networks, ports, "", &outgoing, &why) == OK, "\"%s\" and \"%s\" are lists", networks, ports);
	return outgoing;
}

static bool holds(const struct address_list *list, const char *text)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
		return address_list_holds(list, (const struct sockaddr *)(const void *)&four);
	if (!ok(inet_pton(AF_INET6, text, &six.sin6_addr) == 1, "%s is an address", text))
		return false;
	return address_list_holds(list, (const struct sockaddr *)(const void *)&six);
}

static void test_lists(void)
{
	static const char *const bad_networks[] = {
	    "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "0x0a000000/8", "host", "fd00::1/8", "fd00::/129", "::ffff:10.0.0.0/104",
	    "::ffff:10.0.0.1", "10.0.0.0/8,11.0.0.0/8", "10.0.0.0/8 x", "/8", "[fd00::]/8", "fe80::%eth0/64",
	};
	static const char *const bad_ports[] = {"0", "65536", "x", "443-", "-443", "9010-9000", "80,81", "80-90-100"};
	struct outgoing outgoing = {.port_count = 7};
	for (size_t i = 0; i < sizeof bad_networks / sizeof *bad_networks; i++)
		ok(outgoing_init(&arena, bad_networks[i], "", "", &outgoing, &why) == ERR_INVALID && why != NULL, "no network: %s", bad_networks[i]);
	for (size_t i = 0; i < sizeof bad_ports / sizeof *bad_ports; i++)
		ok(outgoing_init(&arena, "", bad_ports[i], "", &outgoing, &why) == ERR_INVALID && why != NULL, "no port: %s", bad_ports[i]);
	is_i64((int64_t)outgoing.port_count, 7, "what was there is untouched");
	outgoing = made("10.1.0.0/16  192.168.1.7 fd12::/16 0.0.0.0/32 ::1", "");
	ok(holds(&outgoing.networks, "10.1.255.255") && !holds(&outgoing.networks, "10.2.0.0") && !holds(&outgoing.networks, "10.0.255.255"), "a network");
	ok(holds(&outgoing.networks, "192.168.1.7") && !holds(&outgoing.networks, "192.168.1.6"), "an address alone");
	ok(holds(&outgoing.networks, "::ffff:10.1.2.3") && !holds(&outgoing.networks, "::ffff:10.2.2.3"), "IPv4 in the clothes of IPv6 is IPv4");
	ok(holds(&outgoing.networks, "fd12:3::1") && !holds(&outgoing.networks, "fd13::1"), "IPv6");
	ok(holds(&outgoing.networks, "::1") && !holds(&outgoing.networks, "::2") && !holds(&outgoing.networks, "::a01:203"), "and nothing like it");
	const struct sockaddr other = {.sa_family = AF_UNIX};
	ok(!address_list_holds(&outgoing.networks, &other), "no other family");
}

static const struct {
	const char *url;
	enum outgoing_reason reason;
} strict[] = {
    {"https://example.com/", OUTGOING_OK},
    {"https://example.com", OUTGOING_OK},
    {"HTTPS://Example.COM:443/a/b?c=d%20e&f", OUTGOING_OK},
    {"https://8.8.8.8/", OUTGOING_OK},
    {"https://[2606:4700::1111]/", OUTGOING_OK},
    {"https://1.example.com/", OUTGOING_OK},
    {"https://example.com./", OUTGOING_OK},
    {"https://localhost/", OUTGOING_OK}, /* a name: judged when it is used */
    {"http://example.com/", OUTGOING_SCHEME},
    {"http://127.0.0.1/", OUTGOING_SCHEME},
    {"http://localhost/", OUTGOING_SCHEME},
    {"ftp://example.com/", OUTGOING_SCHEME},
    {"file:///etc/passwd", OUTGOING_MALFORMED},
    {"gopher://example.com/", OUTGOING_SCHEME},
    {"", OUTGOING_MALFORMED},
    {"example.com", OUTGOING_MALFORMED},
    {"//example.com/", OUTGOING_MALFORMED},
    {"https:example.com", OUTGOING_MALFORMED},
    {"https://", OUTGOING_MALFORMED},
    {"https:///path", OUTGOING_MALFORMED},
    {"https://exa mple.com/", OUTGOING_MALFORMED},
    {"https://example.com/a b", OUTGOING_MALFORMED},
    {"https://example.com/\x01", OUTGOING_MALFORMED},
    {"https://ex\xc3\xa4mple.com/", OUTGOING_MALFORMED},
    {"https://example.com\\@10.0.0.1/", OUTGOING_MALFORMED},
    {"https://example.com/#part", OUTGOING_MALFORMED},
    {"https://[fe80::1%25eth0]/", OUTGOING_MALFORMED},
    {"https://[::1", OUTGOING_MALFORMED},
    {"https://user@example.com/", OUTGOING_CREDENTIALS},
    {"https://user:secret@example.com/", OUTGOING_CREDENTIALS},
    {"https://:secret@example.com/", OUTGOING_CREDENTIALS},
    {"https://example.com@10.0.0.1/", OUTGOING_CREDENTIALS},
    {"https://example.com:8443/", OUTGOING_PORT},
    {"https://example.com:80/", OUTGOING_PORT},
    {"https://example.com:22/", OUTGOING_PORT},
    {"https://example.com:0/", OUTGOING_PORT},
    {"https://example.com:99999/", OUTGOING_MALFORMED},
    {"https://127.0.0.1/", OUTGOING_ADDRESS},
    {"https://127.0.0.1./", OUTGOING_ADDRESS},
    {"https://127.1/", OUTGOING_ADDRESS},
    {"https://127.0.1/", OUTGOING_ADDRESS},
    {"https://2130706433/", OUTGOING_ADDRESS},
    {"https://0x7f000001/", OUTGOING_ADDRESS},
    {"https://0x7F.0.0.1/", OUTGOING_ADDRESS},
    {"https://0177.0.0.1/", OUTGOING_ADDRESS},
    {"https://017700000001/", OUTGOING_ADDRESS},
    {"https://127.0.0.0x1/", OUTGOING_ADDRESS},
    {"https://2130706433./", OUTGOING_ADDRESS},
    {"https://0x7f000001./", OUTGOING_ADDRESS},
    {"https://127.0.0.1.0.1/", OUTGOING_ADDRESS},
    {"https://99999999999/", OUTGOING_ADDRESS},
    {"https://0/", OUTGOING_ADDRESS},
    {"https://0.0.0.0/", OUTGOING_ADDRESS},
    {"https://10.0.0.1/", OUTGOING_ADDRESS},
    {"https://10.1/", OUTGOING_ADDRESS},
    {"https://172.16.0.1/", OUTGOING_ADDRESS},
    {"https://192.168.0.1/", OUTGOING_ADDRESS},
    {"https://169.254.169.254/latest/meta-data/", OUTGOING_ADDRESS},
    {"https://2852039166/", OUTGOING_ADDRESS},
    {"https://100.64.0.1/", OUTGOING_ADDRESS},
    {"https://224.0.0.1/", OUTGOING_ADDRESS},
    {"https://255.255.255.255/", OUTGOING_ADDRESS},
    {"https://%31%32%37.0.0.1/", OUTGOING_ADDRESS},
    {"https://[::]/", OUTGOING_ADDRESS},
    {"https://[::1]/", OUTGOING_ADDRESS},
    {"https://[::ffff:127.0.0.1]/", OUTGOING_ADDRESS},
    {"https://[::ffff:7f00:1]/", OUTGOING_ADDRESS},
    {"https://[0:0:0:0:0:ffff:a00:1]/", OUTGOING_ADDRESS},
    {"https://[::127.0.0.1]/", OUTGOING_ADDRESS},
    {"https://[64:ff9b::7f00:1]/", OUTGOING_ADDRESS},
    {"https://[64:ff9b::10.0.0.1]/", OUTGOING_ADDRESS},
    {"https://[64:ff9b:1::a00:1]/", OUTGOING_ADDRESS},
    {"https://[2002:7f00:1::]/", OUTGOING_ADDRESS},
    {"https://[2002:a00:1::1]/", OUTGOING_ADDRESS},
    {"https://[2001::1]/", OUTGOING_ADDRESS},
    {"https://[fd00::1]/", OUTGOING_ADDRESS},
    {"https://[fe80::1]/", OUTGOING_ADDRESS},
    {"https://[ff02::1]/", OUTGOING_ADDRESS},
    {"https://[2001:db8::1]/", OUTGOING_ADDRESS},
}, own[] = {
    {"https://10.1.2.3/", OUTGOING_OK},
    {"https://10.1.2.3:8443/", OUTGOING_OK},
    {"https://167838211/", OUTGOING_OK}, /* the same address */
    {"https://[::ffff:10.1.2.3]/", OUTGOING_OK},
    {"https://[64:ff9b::10.1.2.3]/", OUTGOING_ADDRESS}, /* what is behind a translator is not what is listed */
    {"https://[2002:a01:203::1]/", OUTGOING_ADDRESS},
    {"https://10.2.0.1/", OUTGOING_ADDRESS},
    {"https://[fd12::7]:9005/", OUTGOING_OK},
    {"https://[fd13::7]/", OUTGOING_ADDRESS},
    {"https://example.com:9000/", OUTGOING_OK},
    {"https://example.com:9010/", OUTGOING_OK},
    {"https://example.com:9011/", OUTGOING_PORT},
    {"https://example.com:8999/", OUTGOING_PORT},
    {"http://127.0.0.1:8443/", OUTGOING_OK},
    {"http://localhost:8443/", OUTGOING_OK},
    {"http://127.0.0.1/", OUTGOING_PORT},
    {"http://10.1.2.3:8443/", OUTGOING_SCHEME},
    {"http://[::1]:8443/", OUTGOING_SCHEME},
    {"http://127.0.0.2:8443/", OUTGOING_SCHEME},
    {"http://localhost.example.com:8443/", OUTGOING_SCHEME},
};

static void test_urls(void)
{
	char host[OUTGOING_HOST_SIZE], *longest = arena_alloc(&arena, OUTGOING_URL_MAX + 2);
	const struct outgoing nothing = made("", ""), lists = made("127.0.0.1 10.1.0.0/16 fd12::/16", "8443 9000-9010");
	for (size_t i = 0; i < sizeof strict / sizeof *strict; i++)
		is_i64(outgoing_check(&nothing, strict[i].url, NULL), strict[i].reason, strict[i].url);
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		is_i64(outgoing_check(&lists, own[i].url, NULL), own[i].reason, own[i].url);
	is_i64(outgoing_check(&nothing, "https://example.com/path?token=secret", host), OUTGOING_OK, "for the log");
	is_text(host, "example.com:443", "there is host and port");
	is_i64(outgoing_check(&nothing, "https://user:secret@example.com/", host), OUTGOING_CREDENTIALS, "of a URL that is refused");
	is_text(host, "", "there is nothing");
	snprintf(longest, 320, "https://%0254d.com/", 0);
	is_i64(outgoing_check(&nothing, longest, host), OUTGOING_MALFORMED, "a host longer than a name can be");
	memset(longest, 'a', OUTGOING_URL_MAX + 1);
	memcpy(longest, "https://example.com/", 20);
	is_i64(outgoing_check(&nothing, longest, NULL), OUTGOING_MALFORMED, "one byte too long");
	longest[OUTGOING_URL_MAX] = '\0';
	is_i64(outgoing_check(&nothing, longest, NULL), OUTGOING_OK, "the longest");
}

int main(void)
{
	arena_init(&arena, 1 << 20);
	test_lists();
	test_urls();
	arena_release(&arena);
	return tap_done();
}
