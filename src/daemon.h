/* daemon.h - the daemon as objects: who is made of what, in which order, and when it is over.
 *
 * One way to build it, for bangerd.c and for the simulation, which links the other io.  What the
 * host is like and what was asked on the command line comes in as settings.  There is no
 * destructor: the daemon is crash-only, its memory ends with its process.
 */
#pragma once

#include "actors/env.h"
#include "actors/node.h"

struct daemon_config {
	const struct conf *conf;              /* copied */
	const struct conf_input *input;       /* what a reload reads; copied */
	const struct conf_problems *problems; /* that were found in it; copied */
	bool no_sync;                         /* durability by the page cache: tests */
	int listen_fd;    /* inherited, ours from here on; -EBADF: by path in runtime_dir */
	uint32_t tsc_khz; /* of the host; 0: not known */
	struct vmm_host firecracker;
};

struct daemon {
	struct actor actor; /* hears when the last call is over */
	struct actors actors;
	struct env env;
	int lock_fd; /* of the runtime directory */
	struct store *store;
	struct node *node;
	struct io_timer last_call; /* when we stop waiting for clients to hang up */
	bool called;               /* last_call was set */
	bool over;                 /* ... and has come */
};

/* Makes the directories, opens the store, adopts or undoes what the records say, listens. */
int daemon_create(const struct daemon_config *conf, struct daemon **ret_daemon, struct err *e);

/* Refuses what comes, lets clients take their answers.  What is under way is left as a crash would
 * leave it. */
void daemon_stop(struct daemon *d);

/* One turn of the loop.  1: go on; 0: it has stopped; -errno: the ring is broken. */
int daemon_turn(struct daemon *d);

/* Where it listens. */
void daemon_socket_path(const struct conf *conf, char out[ENV_PATH_MAX + 16]);
