#include "actors/console.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "actors/fifo.h"
#include "actors/limits.h"
#include "actors/vm.h"

static_assert(CONSOLE_LOW <= CONSOLE_WINDOW / 2, "half a window is granted while these wait");

struct console {
	struct actor actor;
	struct env *env;       /* borrowed */
	struct list_node link; /* env.consoles */
	struct op *op;         /* owned until it is answered, then NULL: it is closing */
	vm_id vm;
	struct io_op connect; /* busy until there is a stream, or none */
	struct io_stream stream;
	bool open;        /* the stream holds a descriptor: close and wait for its end */
	struct fifo fifo; /* instead of a stream, where the VMM reads one */
	bool typed_all;   /* what is left for the FIFO, and then the end */
	uint32_t window;  /* bytes that the client may still send */
};

/* ---- its end ---- */

static void console_free(struct console *c)
{
	list_remove(&c->link);
	fifo_fini(&c->fifo);
	actor_fini(&c->actor);
	free(c);
}

/* The answer is given; what is in flight ends by message, and then all is gone. */
static void hang_up(struct console *c, uint32_t linger_ms)
{
	c->op = NULL;
	if (c->fifo.path)
		fifo_close(&c->fifo);
	if (c->open)
		io_stream_close(c->env->io, &c->stream, linger_ms);
	else if (c->connect.armed)
		io_cancel(c->env->io, &c->connect);
}

static void end(struct console *c, const struct err *e)
{
	if (!c->op)
		return;
	if (e && e->code)
		op_fail(c->env, c->op, e);
	else
		op_done(c->env, c->op, NULL, NULL);
	hang_up(c, e && e->code ? 0 : CONSOLE_LINGER_MS);
}

/* ---- what is typed ---- */

static size_t unsent(const struct console *c)
{
	return c->open ? io_stream_unsent(&c->stream) : fifo_unsent(&c->fifo);
}

static int put(struct console *c, const void *data, size_t len)
{
	if (!c->open)
		return fifo_put(&c->fifo, data, len);
	const int rc = buf_append(io_stream_out(&c->stream), data, len);

	if (rc == 0)
		io_stream_flush(c->env->io, &c->stream);
	return rc;
}

/* The client may type ahead as far as the VMM keeps up: it takes no more than its guest does. */
static void grant(struct console *c)
{
	const struct chunk_msg head = {
		.kind = CHUNK_CREDIT,
		.serial = c->op->serial,
		.stream = WIRE_STDIN,
		.a = CONSOLE_WINDOW - c->window,
	};

	if (head.a < CONSOLE_WINDOW / 2)
		return;
	if (unsent(c) > CONSOLE_LOW && c->open)
		io_stream_notify_drained(&c->stream, CONSOLE_LOW);
	else if (unsent(c) <= CONSOLE_LOW && post_chunk(c->env, c->op->client, &head, NULL) == 0)
		c->window = CONSOLE_WINDOW;
}

static void typed(struct console *c, const struct chunk_msg *m)
{
	struct err e = { 0 };

	if (m->len > c->window)
		err_set(&e, ERR_BAD_REQUEST, "stdin: bytes beyond its credit");
	else if (m->len > 0 && put(c, m->data, m->len) < 0)
		err_set(&e, ERR_HOST_MEMORY, "console");
	c->typed_all = m->len == 0;
	if (e.code || (c->typed_all && (c->open || fifo_unsent(&c->fifo) == 0))) {
		end(c, &e);
		return;
	}
	c->window -= (uint32_t)m->len;
	grant(c);
}

/* Size and signals mean nothing to a serial line. */
static void chunk(struct console *c, struct chunk_msg *m)
{
	if (c->op && m->kind == CHUNK_DATA)
		typed(c, m);
	msg_free(&m->msg);
}

/* ---- the VMM's socket ---- */

static void no_console(struct err *e)
{
	err_set(e, ERR_VM_STATE, "its VMM serves no console: it ends, or is of an older version");
}

static void connected(struct console *c, int fd)
{
	struct err e = { 0 };

	if (fd >= 0 && !c->op) {
		io_close(c->env->io, fd); /* cancelled, too late */
	} else if (fd == -ENOENT || fd == -ECONNREFUSED) {
		no_console(&e);
	} else if (fd < 0) {
		err_num(&e, ERR_HOST_IO, fd, "connect to the console");
	} else if (io_stream_open(c->env->io, &c->stream, &c->actor, MSG_STREAM, fd) < 0) {
		io_close(c->env->io, fd);
		err_set(&e, ERR_HOST_MEMORY, "console");
	} else {
		c->open = true;
		grant(c);
		return;
	}
	end(c, &e);
	console_free(c);
}

static void socket_event(struct console *c)
{
	const uint8_t *data;
	size_t have;

	if (c->stream.closed) {
		console_free(c);
		return;
	}
	while ((have = io_stream_peek(&c->stream, &data)) > 0)
		io_stream_consume(c->env->io, &c->stream, have); /* the log has it */
	if (!c->op)
		return;
	if (c->stream.eof || c->stream.error)
		end(c, NULL);
	else
		grant(c);
}

/* ---- or the VMM's FIFO ---- */

static void fifo_event(struct console *c, enum fifo_news news)
{
	struct err e = { 0 };

	if (news == FIFO_OVER && (c->fifo.error == -ENOENT || c->fifo.error == -ENXIO))
		no_console(&e);
	else if (news == FIFO_OVER && c->fifo.error)
		err_num(&e, ERR_HOST_IO, c->fifo.error, "the console");
	if (news == FIFO_OVER)
		end(c, &e);
	else if (news == FIFO_READY && c->op && c->typed_all && fifo_takes_no_more(&c->fifo))
		end(c, NULL);
	else if (news == FIFO_READY && c->op)
		grant(c);
	if (!c->op && !fifo_busy(&c->fifo))
		console_free(c);
}

static void handle(struct actor *a, struct msg *m)
{
	struct console *c = container_of(a, struct console, actor);
	const struct err cancelled = { .code = ERR_CANCELLED, .text = "cancelled" };
	const enum fifo_news news = fifo_message(&c->fifo, m);

	if (news != FIFO_NOT_MINE)
		fifo_event(c, news);
	else if (m == &c->connect.msg) {
		connected(c, m->res);
	} else if (m == &c->stream.msg) {
		socket_event(c);
	} else if (m->type == MSG_CHUNK) {
		chunk(c, container_of(m, struct chunk_msg, msg));
	} else {
		ASSERT(m->type == MSG_CANCEL);
		msg_free(m);
		end(c, &cancelled);
	}
}

/* ---- its beginning ---- */

static bool is_taken(const struct env *env, vm_id vm)
{
	list_for_each (n, &env->consoles) {
		const struct console *c = list_entry(n, struct console, link);

		if (c->vm == vm && c->op)
			return true;
	}
	return false;
}

static void console_refuse(struct console *c)
{
	const struct err e = { .code = ERR_HOST_MEMORY, .text = "console" };

	end(c, &e);
	console_free(c);
}

void console_begin(struct env *env, struct op *op, const struct vm *vm)
{
	char path[ENV_PATH_MAX];
	struct console *c;

	if (!vm_console_path(vm, path)) {
		op_refuse(env, op, ERR_VM_STATE, "vm %s is %s", vm->rec.spec.name,
			  fsm_name(&vm->fsm));
		return;
	}
	if (is_taken(env, vm->rec.id)) {
		op_refuse(env, op, ERR_VM_CONSOLE_BUSY, "vm %s", vm->rec.spec.name);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || actor_init(&c->actor, env->actors, handle) < 0) {
		free(c);
		op_refuse(env, op, ERR_HOST_MEMORY, "console");
		return;
	}
	c->env = env;
	c->op = op;
	c->vm = vm->rec.id;
	(void)snprintf(c->actor.log.actor, sizeof(c->actor.log.actor), "console/%s",
		       vm->rec.spec.name);
	list_append(&env->consoles, &c->link);
	op->at = c->actor.id;
	io_op_init(&c->connect, &c->actor, MSG_IO);
	if (vm->driver->channels == VMM_CHANNELS_INHERITED)
		io_connect_unix(env->io, &c->connect, path);
	else if (fifo_open(&c->fifo, env->io, &c->actor, path) < 0)
		console_refuse(c);
}

void console_cancel(struct env *env, struct op *op)
{
	post_cancel(env->actors, op->at, &op->cancel, op->serial, env->node);
}

void consoles_stop(struct env *env)
{
	const struct err e = { .code = ERR_DAEMON_STOPPING, .text = "the daemon is shutting down" };

	list_for_each (n, &env->consoles)
		end(list_entry(n, struct console, link), &e);
}
