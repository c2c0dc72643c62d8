/* session.h - one conversation with a daemon: requests in, commands run, replies out.
 *
 * At most one at a time; a new hello ends the one before, and with it its commands.  Single thread;
 * session_turn() never waits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "guest/agent/channel.h"

struct session {
	int epoll; /* borrowed */
	struct channel channel;
	bool open;
	struct list execs; /* exec.link; of this conversation, and muted ones of those before */
	uint32_t nexecs;
	bool power_off;         /* asked for, and answered */
	int64_t flush_until_ms; /* then power off, whether or not the answer has left */
};

/* `ends`: the way to the daemon can end; channel.closed then says so. */
void session_init(struct session *s, int epoll, bool ends);
void session_fini(struct session *s); /* kills what runs */

/* Another way to the daemon, and so another conversation. */
int session_attach(struct session *s, int fd); /* takes fd, on failure too */
void session_detach(struct session *s);        /* the way has ended, and the conversation with it */

/* Everything that can be done now.  The time in ms after which it must be called again even if
 * nothing happens: 0 at once, -1 never. */
int session_turn(struct session *s);

/* The answer to "poweroff" has left, or had its time. */
bool session_powers_off(const struct session *s);
