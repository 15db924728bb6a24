/*
 * The deny list behind outgoing requests to strangers' URLs.
 *
 * Called by the HTTP client with the address it is about to connect to, after name resolution: a name that resolves to
 * something else the second time gains nothing. It must never resolve names itself and never allow what it does not know.
 */
#include "core/net/address.h"

#include "core/base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

static const struct address_prefix denied_v4[] = {
	{{0}, 8},              /* this network */
	{{10}, 8},             /* private */
	{{100, 64}, 10},       /* shared by carriers */
	{{127}, 8},            /* loopback */
	{{169, 254}, 16},      /* link-local, cloud metadata */
	{{172, 16}, 12},       /* private */
	{{192, 0, 0}, 24},     /* protocol assignments */
	{{192, 0, 2}, 24},     /* documentation */
	{{192, 88, 99}, 24},   /* 6to4 relays */
	{{192, 168}, 16},      /* private */
	{{198, 18}, 15},       /* benchmarks */
	{{198, 51, 100}, 24},  /* documentation */
	{{203, 0, 113}, 24},   /* documentation */
	{{224}, 4},            /* multicast */
	{{240}, 4},            /* reserved, broadcast */
};

/* Global unicast is 2000::/3. All that lies outside (::, ::1, 64:ff9b::, 100::, fc00::, fe80::, ff00:: …) is denied as a whole. */
static const struct address_prefix global_v6 = {{0x20}, 3};

static const struct address_prefix denied_v6[] = {
	{{0x20, 0x01, 0x00}, 23},             /* protocol assignments, Teredo, ORCHID */
	{{0x20, 0x01, 0x0d, 0xb8}, 32},       /* documentation */
	{{0x20, 0x02}, 16},                   /* 6to4 */
	{{0x3f, 0xff}, 20},                   /* documentation */
};

static const struct address_prefix mapped_v4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
static const struct address_prefix loopback_v4 = {{127}, 8};
static const struct address_prefix loopback_v6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128};

static bool prefix_holds(const struct address_prefix *prefix, const uint8_t *address)
{
	size_t whole = prefix->bits / 8;
	unsigned rest = prefix->bits % 8;

	if (memcmp(prefix->bytes, address, whole) != 0)
		return false;
	return rest == 0 || (prefix->bytes[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool any_holds(const struct address_prefix *prefixes, size_t count, const uint8_t *address)
{
	for (size_t i = 0; i < count; i++) {
		if (prefix_holds(&prefixes[i], address))
			return true;
	}
	return false;
}

/* The 4 or 16 address bytes; an IPv4-mapped address counts as IPv4. 0 for other families. */
static size_t address_bytes(const struct sockaddr *address, uint8_t out[16])
{
	if (address->sa_family == AF_INET) {
		memcpy(out, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
		return 4;
	}
	if (address->sa_family != AF_INET6)
		return 0;
	memcpy(out, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
	if (!prefix_holds(&mapped_v4, out))
		return 16;
	memmove(out, out + 12, 4);
	return 4;
}

bool address_is_public(const struct sockaddr *address)
{
	uint8_t bytes[16] = {0};
	size_t n = address_bytes(address, bytes);

	if (n == 4)
		return !any_holds(denied_v4, sizeof denied_v4 / sizeof *denied_v4, bytes);
	return n == 16 && prefix_holds(&global_v6, bytes) && !any_holds(denied_v6, sizeof denied_v6 / sizeof *denied_v6, bytes);
}

bool address_is_loopback(const struct sockaddr *address)
{
	uint8_t bytes[16] = {0};
	size_t n = address_bytes(address, bytes);

	return (n == 4 && prefix_holds(&loopback_v4, bytes)) || (n == 16 && prefix_holds(&loopback_v6, bytes));
}

bool address_list_holds(const struct address_list *list, const struct sockaddr *address)
{
	uint8_t bytes[16] = {0};
	size_t n = address_bytes(address, bytes);

	return (n == 4 && any_holds(list->v4, list->v4_count, bytes)) || (n == 16 && any_holds(list->v6, list->v6_count, bytes));
}

/* The rest of the address, after its network bits, must be zero: 10.1.2.3/8 is a slip that would open more than was meant. */
static bool is_network(const struct address_prefix *prefix, size_t n)
{
	for (size_t bit = prefix->bits; bit < n * 8; bit++) {
		if (prefix->bytes[bit / 8] & 0x80 >> bit % 8)
			return false;
	}
	return true;
}

static bool parse_one(struct str text, struct address_list *list)
{
	char host[INET6_ADDRSTRLEN + 1] = {0};
	struct address_prefix prefix = {{0}, 0};
	const char *slash = memchr(text.p, '/', text.n);
	size_t n = slash != NULL ? (size_t)(slash - text.p) : text.n;
	int64_t bits = -1;

	if (n >= sizeof host)
		return false;
	memcpy(host, text.p, n);
	bool six = strchr(host, ':') != NULL;
	size_t *count = six ? &list->v6_count : &list->v4_count;
	int64_t widest = six ? 128 : 32;
	if (*count == ADDRESS_LIST_MAX || inet_pton(six ? AF_INET6 : AF_INET, host, prefix.bytes) != 1)
		return false;
	if (slash == NULL)
		bits = widest;
	else if (parse_i64_n(slash + 1, text.n - n - 1, 0, widest, &bits))
		return false;
	prefix.bits = (unsigned)bits;
	if (!is_network(&prefix, (size_t)widest / 8) || (six && bits >= 96 && prefix_holds(&mapped_v4, prefix.bytes)))
		return false;
	(six ? list->v6 : list->v4)[(*count)++] = prefix;
	return true;
}

enum err address_list_parse(struct arena *arena, const char *text, struct address_list *ret, const char **ret_why)
{
	struct address_list list = {.v4_count = 0};

	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " ");
		if (n > 0 && !parse_one((struct str){p, n}, &list)) {
			*ret_why = arena_printf(arena, "\"%.*s\" is no network such as 10.1.0.0/16 or fd12::/48 (or there are more than %d).", (int)n, p, ADDRESS_LIST_MAX);
			return ERR_INVALID;
		}
		p += n + (p[n] == ' ');
	}
	*ret = list;
	return OK;
}
