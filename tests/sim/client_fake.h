/* client_fake.h - a client of the daemon: real frames by src/proto, over a simulated connection.
 *
 * It counts: each request has one reply and not a second one, and none comes for what was never
 * asked.  Anything else fails the run.
 */
#pragma once

#include "proto/client.h"
#include "proto/wire.h"
#include "tests/sim/world.h"

enum {
	CLIENT_CALLS = 4096, /* of one client in its life */
};

struct call {
	enum client_method method;
	struct op_id op_id;
	struct buf body; /* the arguments as they were sent */
	bool replied;
	uint64_t replied_us;
	struct err err; /* of the whole request */
	char step[WIRE_NAME_MAX];
	struct targets_result targets; /* owned; of methods that have such a result */
	struct buf result;             /* the bytes */
	struct exec_result exec;
	uint64_t out_bytes; /* of stdout */
	struct buf out;     /* ... the first of them */
	uint32_t events;
	uint64_t credit; /* granted for stdin so far */
};

struct client {
	struct world *w;
	struct sim_conn conn;
	struct buf in;
	bool greeted;
	bool ended;     /* the daemon has hung up, or we have */
	struct err why; /* ... and what it has said about that */
	bool deaf;      /* grants no credit, reads nothing */
	uint32_t ncalls;
	struct call *calls[CLIENT_CALLS]; /* owned; by request id - 1 */
	void (*on_reply)(struct client *c, struct call *call);
	void *arg;
};

struct client *client_open(struct world *w);               /* NULL: the daemon does not take it */
struct client *client_open_as(struct world *w, uid_t uid); /* ... as somebody else */
void client_hang_up(struct client *c);
void client_free(struct client *c);

struct client_how {
	const struct op_id *op_id; /* NULL: a new one */
	bool detach;
	bool progress;
};

struct call *client_ask(struct client *c, enum client_method m, const void *args,
			const struct client_how *how);
/* The same request under the same op_id, perhaps from somebody else. */
struct call *client_repeat(struct client *c, const struct call *call);
void client_cancel(struct client *c, const struct call *call);
void client_stdin(struct client *c, const struct call *call, const void *data, size_t len);

/* Turns until the reply is there; false when it does not come. */
bool client_wait(struct client *c, const struct call *call);

/* ---- the usual requests ---- */

struct call *client_create_vm(struct client *c, const char *name, const char *image, bool no_start);
struct call *client_on_vm(struct client *c, enum client_method m, const char *ref);
struct call *client_exec(struct client *c, const char *ref, const char *cmd, const char *arg);
/* Who types on a console: see client_stdin(). */
struct call *client_console(struct client *c, const char *ref);
/* The first thing that is wrong with an answer: of the request or of its one target. */
enum err_code call_code(const struct call *call);
const char *call_text(const struct call *call);
