/*
 * The deny list behind outgoing requests to strangers' URLs.
 *
 * Called by the HTTP client with the address it is about to connect to, after name resolution: a name that resolves to
 * something else the second time gains nothing. It must never resolve names itself and never allow what it does not know.
 */
#include "core/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct prefix {
	uint8_t bytes[16];
	unsigned bits;
};

static const struct prefix denied_v4[] = {
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
static const struct prefix global_v6 = {{0x20}, 3};

static const struct prefix denied_v6[] = {
	{{0x20, 0x01, 0x00}, 23},             /* protocol assignments, Teredo, ORCHID */
	{{0x20, 0x01, 0x0d, 0xb8}, 32},       /* documentation */
	{{0x20, 0x02}, 16},                   /* 6to4 */
	{{0x3f, 0xff}, 20},                   /* documentation */
};

static const struct prefix mapped_v4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
static const struct prefix loopback_v4 = {{127}, 8};
static const struct prefix loopback_v6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128};

static bool prefix_holds(const struct prefix *prefix, const uint8_t *address)
{
	size_t whole = prefix->bits / 8;
	unsigned rest = prefix->bits % 8;

	if (memcmp(prefix->bytes, address, whole) != 0)
		return false;
	return rest == 0 || (prefix->bytes[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool any_holds(const struct prefix *prefixes, size_t count, const uint8_t *address)
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
