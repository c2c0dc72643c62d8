/* http.h - whether something at a port of this host speaks HTTP.
 *
 * Blocking, with one deadline for all: each is asked "GET /", and the number in its status line is
 * what is wanted.  Redirects are not followed, bodies not read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	HTTP_AT_ONCE = 64, /* connections */
};

struct http_probe {
	uint32_t port;   /* of 127.0.0.1 */
	uint32_t status; /* 100..599; 0: it did not answer as HTTP does */
	/* what follows is private */
	int fd;
	bool asked;
	uint32_t sent, got;
	char answer[16];
};

/* Sets the status of all n.  At most deadline_ms for each HTTP_AT_ONCE of them. */
void http_ask(struct http_probe *probes, uint32_t n, uint32_t deadline_ms);
