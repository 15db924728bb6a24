/* Which addresses a request to a URL given by somebody else may reach: the public ones, and networks that an operator lists. */
#ifndef TIDEGATE_CORE_NET_ADDRESS_H
#define TIDEGATE_CORE_NET_ADDRESS_H

#include "core/base/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum { ADDRESS_LIST_MAX = 64 };

struct sockaddr;

struct address_prefix {
	uint8_t bytes[16];
	unsigned bits;
};

/* Networks; IPv4 and IPv6 apart, because four bytes of the one are not the first four of the other. */
struct address_list {
	struct address_prefix v4[ADDRESS_LIST_MAX], v6[ADDRESS_LIST_MAX];
	size_t v4_count, v6_count;
};

/*
 * True for unicast addresses of the public internet. False for loopback, private, link-local (cloud metadata), shared,
 * documentation, benchmark, multicast, reserved and unspecified ones, for IPv6 forms that carry such an IPv4 address or
 * translate to one (NAT64, 6to4, Teredo), and for every family but IPv4 and IPv6. An IPv4-mapped IPv6 address is what the
 * IPv4 address in it is. Source: the IANA special-purpose address registries.
 */
bool address_is_public(const struct sockaddr *address);

/*
 * Reads networks in CIDR form with blanks between them ("10.1.0.0/16 fd12::/48 192.168.1.7"); an address alone is a network of one.
 * ERR_INVALID with a sentence in *ret_why (in the arena) for anything else, also for bits set outside the network and for IPv4
 * in the clothes of IPv6. An empty text is an empty list.
 */
enum err address_list_parse(struct arena *arena, const char *text, struct address_list *ret, const char **ret_why) MUST_USE;

/* Is the address in one of the networks? An IPv4-mapped IPv6 address is what the IPv4 address in it is. */
bool address_list_holds(const struct address_list *list, const struct sockaddr *address);

/* True for 127.0.0.0/8 and ::1, also in IPv4-mapped form. */
bool address_is_loopback(const struct sockaddr *address);

#endif
