/* net_world.h - what lies beyond a guest's network, for a fuzzer: the sockets that libslirp makes
 * are ends of pairs of this process, and nothing leaves it.
 *
 * The C library's names are ours (net_world.c), for libslirp too, while a world is begun.  Whom it
 * wants to reach is held against what may be reached, which is said here a second time, apart from
 * the fence: a wrong address is an ASSERT.  Time is the world's: it passes where somebody waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_RESOLVER 0x7f000035 /* 127.0.0.53, in the host's resolv.conf */

enum {
	WORLD_SOCKETS_MAX = 400, /* at once; more are EMFILE */
};

/* What befalls a socket. */
enum world_event {
	WORLD_SAYS,     /* so many bytes */
	WORLD_ENDS,     /* says no more */
	WORLD_HANGS_UP, /* resets */
	WORLD_REFUSES,  /* an ICMP error comes */
	WORLD_COMES,    /* to a published port */
	WORLD_NEVENTS,
};

void world_begin(bool host_loopback, unsigned sockets_max);
/* All that was made is closed by now. */
void world_end(void);

/* `which` of those that are open, modulo their number. */
void world_event(enum world_event what, unsigned which, size_t bytes);

/* The next so many calls that could, fail. */
void world_fault(int error, unsigned calls);

void world_pass(uint32_t ms);

/* Whether the last wait found anything ready. */
bool world_was_ready(void);

/* Since the process began: connections and datagrams, a test that the names are ours at all. */
unsigned long world_reached(void);
