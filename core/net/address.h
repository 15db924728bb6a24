/* Which addresses a request to a URL given by somebody else may reach. */
#ifndef TIDEGATE_CORE_NET_ADDRESS_H
#define TIDEGATE_CORE_NET_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/*
 * True for unicast addresses of the public internet. False for loopback, private, link-local (cloud metadata), shared,
 * documentation, benchmark, multicast, reserved and unspecified ones, for IPv6 forms that carry such an IPv4 address or
 * translate to one (NAT64, 6to4, Teredo), and for every family but IPv4 and IPv6. An IPv4-mapped IPv6 address is what the
 * IPv4 address in it is. Source: the IANA special-purpose address registries.
 */
bool address_is_public(const struct sockaddr *address);

/* True for 127.0.0.0/8 and ::1, also in IPv4-mapped form. */
bool address_is_loopback(const struct sockaddr *address);

#endif
