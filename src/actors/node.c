#include "actors/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/client.h"
#include "actors/config.h"
#include "actors/console.h"
#include "actors/host_sweep.h"
#include "actors/job.h"
#include "actors/limits.h"
#include "actors/logs.h"
#include "actors/sweep.h"
#include "base/text.h"

/* ---- operations under way ---- */

static uint64_t op_hash(const struct op_id *id)
{
	return map_hash_bytes(id->b, OP_ID_BYTES);
}

struct op *node_op(const struct node *n, const struct op_id *id)
{
	for (struct map_node *m = map_find(&n->ops, op_hash(id)); m; m = map_find_next(m)) {
		struct op *op = container_of(m, struct op, by_id);

		if (op_id_equal(&op->id, id))
			return op;
	}
	return NULL;
}

static struct op *op_by_serial(const struct node *n, uint64_t serial)
{
	for (struct map_node *m = map_find(&n->ops_by_serial, map_hash_u64(serial)); m;
	     m = map_find_next(m)) {
		struct op *op = container_of(m, struct op, by_serial);

		if (op->serial == serial)
			return op;
	}
	return NULL;
}

/* ---- replies ---- */

static void send_home(struct node *n, struct op *op)
{
	op->msg.type = MSG_OP_DONE;
	map_remove(&n->ops_by_serial, &op->by_serial);
	actor_post(n->env->actors, op->client, &op->msg);
}

static void answer_followers(struct node *n, struct op *op)
{
	struct list_node *f;

	while ((f = list_pop(&op->followers)) != NULL) {
		struct op *same = list_entry(f, struct op, follow);

		if (same->method == METHOD_OP_WAIT) {
			node_op_ended(n, op, same);
			continue;
		}
		same->err = op->err;
		memcpy(same->step, op->step, sizeof(same->step));
		if (buf_append(&same->result, buf_data(&op->result), buf_len(&op->result)) < 0)
			err_set(&same->err, ERR_HOST_MEMORY, "result");
		send_home(n, same);
	}
}

static void op_over(struct node *n, struct op *op)
{
	node_event_op(n, op);
	node_event_objects(n, op);
	map_remove(&n->ops, &op->by_id);
	answer_followers(n, op);
	send_home(n, op);
}

/* What was done is done: a result that could not be remembered is still the answer. */
static void op_forgotten(struct node *n, const struct op *op, const char *why)
{
	LOG_WARN(&n->actor.log, &op->id, "op.forgotten", K("why", why));
}

/* The answer is there.  A change is answered only once its result is durable. */
static void op_answered(struct node *n, struct op *op)
{
	io_timer_cancel(n->env->io, &op->deadline);
	if (op->method == METHOD_WATCH && list_linked(&op->follow))
		node_watch_end(n, op);
	list_remove(&op->follow); /* of another's followers */
	if (op->durable) {
		if (++n->finished % OPS_TRIM_EVERY == 0)
			IGNORE(db_trim(n->env->db, STORE_OPS, n->env->conf.ops_kept) < 0);
		if (node_op_put(n, op, true) == 0) {
			db_wait_init(&op->commit, &n->actor);
			db_wait(n->env->db, &op->commit, 0);
			return;
		}
		op_forgotten(n, op, "memory");
	}
	op_over(n, op);
}

static void op_committed(struct node *n, struct msg *m)
{
	struct op *op = container_of(m, struct op, commit.msg);

	if (m->res < 0)
		op_forgotten(n, op, op->commit.err.text);
	else
		node_op_committed(n, op);
	op_over(n, op);
}

/* ---- admission ---- */

/* Who asks for what is under way waits for its answer; but what streams has one reader. */
static void join(struct node *n, struct op *first, struct op *op)
{
	const char *name = client_methods[first->method].name;

	if (first->digest != op->digest || first->method != op->method)
		err_set(&op->err, ERR_OP_CONFLICT, "this op_id belongs to a %s under way", name);
	else if (op_streams(op) || op->method == METHOD_WATCH)
		err_set(&op->err, ERR_OP_CONFLICT,
			"this op_id belongs to a %s under way, which streams to whom asked first",
			name);
	if (op->err.code)
		send_home(n, op);
	else
		list_append(&first->followers, &op->follow);
}

/* The same op_id again: the same answer, or a conflict.  True when that settles it. */
static bool is_repetition(struct node *n, struct op *op)
{
	struct op *first = node_op(n, &op->id);
	struct op_record rec;

	if (first) {
		join(n, first, op);
		return true;
	}
	if (!op_is_durable(op->method) || node_op_record(n, &op->id, &rec) < 0)
		return false;
	const bool same = rec.digest == op->digest &&
			  strcmp(rec.method, client_methods[op->method].name) == 0;
	if (!same) {
		err_set(&op->err, ERR_OP_CONFLICT, "this op_id belongs to an earlier %s",
			rec.method);
	} else if (rec.done) {
		if (rec.view.code[0]) {
			op->err.code = err_by_name(rec.view.code);
			op->err.sys = rec.sys;
			TEXT_SET(op->err.text, rec.view.message);
		} else if (buf_append(&op->result, rec.result.data, rec.result.len) < 0) {
			err_set(&op->err, ERR_HOST_MEMORY, "result");
		}
	}
	const bool settled = !same || rec.done;

	op->resumed = !settled;
	schema_fini(&op_record_schema, &rec);
	if (settled)
		send_home(n, op);
	return settled; /* else it was cut short: it goes on now */
}

/* What is for a guest is served by its VM. */
static void ask_guest(struct node *n, struct op *op)
{
	struct err e = { 0 };
	struct vm *vm;

	if (node_find(n, op_ref(op), &vm, &e) < 0) {
		op_fail(n->env, op, &e);
		return;
	}
	op->vm = vm->rec.id;
	op->at = vm->actor.id;
	actor_post(n->env->actors, op->at, &op->msg);
}

/* Who types on a VM's console does so past the VM: it may be on its way up or down. */
static void console(struct node *n, struct op *op)
{
	const struct ref_args *args = op->args;
	struct err e = { 0 };
	struct vm *vm;

	if (node_find(n, args->ref, &vm, &e) < 0) {
		op_fail(n->env, op, &e);
		return;
	}
	op->vm = vm->rec.id;
	console_begin(n->env, op, vm);
}

/* A VM's disk is what differs from its image: with another image below it is nobody's disk.  A
 * kernel may be replaced, which the next start takes, but not removed. */
static int check_unused(const struct node *n, const struct op *op, struct err *e)
{
	const bool kernel = op->method == METHOD_KERNEL_RM;
	const char *name = job_name(op);

	if (op->method == METHOD_KERNEL_IMPORT)
		return 0;
	list_for_each (l, &n->vms) {
		const struct vm_record *vm = &list_entry(l, struct vm, link)->rec;

		if (strcmp(kernel ? vm->spec.kernel : vm->spec.image, name) == 0)
			return err_set(e, kernel ? ERR_KERNEL_IN_USE : ERR_IMAGE_IN_USE,
				       "%s \"%s\": VM %s uses it", kernel ? "kernel" : "image",
				       name, vm->spec.name);
	}
	return 0;
}

static void job(struct node *n, struct op *op)
{
	struct err e = { 0 };

	if (check_unused(n, op, &e) < 0)
		op_fail(n->env, op, &e);
	else
		job_begin(n->env, op);
}

static void dispatch(struct node *n, struct op *op)
{
	switch (op->method) {
	case METHOD_VM_CREATE:
		if (!node_awaits_accel(n, op))
			node_create_vms(n, op);
		return;
	case METHOD_VM_RESOLVE:
		if (!node_awaits_accel(n, op))
			node_resolve(n, op);
		return;
	case METHOD_VM_START:
	case METHOD_VM_STOP:
	case METHOD_VM_RESTART:
	case METHOD_VM_KILL:
	case METHOD_VM_SET:
	case METHOD_VM_DELETE:
	case METHOD_VM_WAIT:
		node_targets(n, op);
		return;
	case METHOD_VM_EXEC:
	case METHOD_VM_COPY_IN:
	case METHOD_VM_COPY_OUT:
	case METHOD_VM_PING:
	case METHOD_VM_HEALTH:
	case METHOD_VM_PORTS:
	case METHOD_VM_STATS:
		ask_guest(n, op);
		return;
	case METHOD_VM_CONSOLE:
		console(n, op);
		return;
	case METHOD_WATCH:
		node_watch(n, op);
		return;
	case METHOD_IMAGE_IMPORT:
	case METHOD_IMAGE_BUILD:
	case METHOD_KERNEL_IMPORT:
	case METHOD_IMAGE_RM:
	case METHOD_KERNEL_RM:
		job(n, op);
		return;
	case METHOD_CONFIG_SHOW:
		config_show(n->env, op);
		return;
	case METHOD_CONFIG_RELOAD:
		config_reload(n->env, op);
		return;
	case METHOD_SHUTDOWN:
		n->exit = true;
		op_done(n->env, op, NULL, NULL);
		return;
	case METHOD_PING:
	case METHOD_INFO:
	case METHOD_VM_LIST:
	case METHOD_VM_SHOW:
	case METHOD_OP_SHOW:
	case METHOD_OP_WAIT:
	case METHOD_OP_LIST:
	case METHOD_OP_CANCEL:
	case METHOD_IMAGE_LIST:
	case METHOD_IMAGE_SHOW:
	case METHOD_KERNEL_LIST:
	case METHOD_KERNEL_SHOW:
		node_answer(n, op);
		return;
	case METHOD_NMETHODS:
		break;
	}
	ASSERT(!"every method has a row here");
}

static void op_arrived(struct node *n, struct op *op)
{
	if (op->method == METHOD_PING) { /* nothing to find, nothing to remember */
		send_home(n, op);
		return;
	}
	if (map_insert(&n->ops_by_serial, &op->by_serial, map_hash_u64(op->serial)) < 0) {
		err_set(&op->err, ERR_HOST_MEMORY, "operation");
		send_home(n, op);
		return;
	}
	if (is_repetition(n, op))
		return;
	if (map_insert(&n->ops, &op->by_id, op_hash(&op->id)) < 0) {
		err_set(&op->err, ERR_HOST_MEMORY, "operation");
		send_home(n, op);
		return;
	}
	op->durable = op_is_durable(op->method);
	/* Written with the first commit that follows: before any resource is taken. */
	if (op->durable && node_op_put(n, op, false) < 0) {
		op_refuse(n->env, op, ERR_HOST_MEMORY, "operation");
		return;
	}
	node_event_op(n, op);
	dispatch(n, op);
}

static void accel_known(struct node *n, struct op *op)
{
	op->awaits_accel = false;
	if (op->method == METHOD_VM_CREATE)
		node_create_vms(n, op);
	else if (op->method == METHOD_VM_RESOLVE)
		node_resolve(n, op);
	else
		node_info(n, op);
}

/* ---- cancel ---- */

static void cancel_op(struct node *n, struct op *op)
{
	const struct err e = { .code = ERR_CANCELLED, .text = "cancelled" };

	op->cancelled = true;
	if (op->msg.type == MSG_OP_DONE)
		return; /* its answer is on the way */
	if (op->awaits_accel)
		accel_forget(&op->accel);
	if (op->awaits_accel || op->method == METHOD_WATCH || op->method == METHOD_OP_WAIT)
		op_fail(n->env, op, &e);
	else if (op_ref(op))
		post_cancel(n->env->actors, op->at, &op->cancel, op->serial, n->actor.id);
	else if (op->fleet)
		node_cancel_tasks(n, op);
	else if (op->method == METHOD_VM_CONSOLE)
		console_cancel(n->env, op);
	else
		job_cancel(n->env, op);
}

void node_cancel(struct node *n, const struct op_id *id, struct err *e)
{
	struct op *op = node_op(n, id);

	if (op)
		cancel_op(n, op);
	else
		err_set(e, ERR_OP_NOT_FOUND, "no operation with this id is under way");
}

/* Others have asked the same, under the same op_id; who merely waits for its end has not. */
static bool is_shared(const struct op *op)
{
	list_for_each (f, &op->followers)
		if (list_entry(f, struct op, follow)->method != METHOD_OP_WAIT)
			return true;
	return false;
}

static void stop_following(struct node *n, struct op *first, struct op *op)
{
	list_remove(&op->follow);
	err_set(&op->err, ERR_CANCELLED, "cancelled");
	send_home(n, op);
	if (first->unwanted && !is_shared(first))
		cancel_op(n, first);
}

/* One asker has lost interest, which ends the operation unless others wait for it too. */
static void asker_left(struct node *n, uint64_t serial)
{
	struct op *op = op_by_serial(n, serial);
	struct op *first = op ? node_op(n, &op->id) : NULL;

	if (!op)
		return;
	if (first && first != op)
		stop_following(n, first, op);
	else if (is_shared(op))
		op->unwanted = true;
	else
		cancel_op(n, op);
}

static void pass_chunk(struct node *n, struct chunk_msg *m)
{
	const struct op *op = op_by_serial(n, m->serial);

	if (op && op_streams(op) && op->at.gen != 0)
		actor_post(n->env->actors, op->at, &m->msg);
	else
		msg_free(&m->msg);
}

/* ---- deadlines ---- */

void node_deadline(struct node *n, struct op *op, uint32_t ms)
{
	if (ms == 0)
		return;
	io_timer_init(&op->deadline, &n->actor, MSG_TIMER);
	io_timer_set(n->env->io, &op->deadline, ms, 0);
}

static void expired(struct node *n, struct op *op)
{
	op->expired = true;
	if (op->fleet)
		node_cancel_tasks(n, op);
	else
		op_refuse(n->env, op, ERR_TIMEOUT, "the operation has not ended");
}

/* ---- connections ---- */

/* Whoever else comes by the socket: the kernel says who has connected, whatever the modes of the
 * path are by now. */
static int stranger_check(struct node *n, int fd, struct err *e)
{
	uid_t uid;
	const int rc = io_peer_uid(n->env->io, fd, &uid);

	if (rc < 0)
		return err_num(e, ERR_CLIENT_STRANGER, rc, "who has connected");
	if (uid == 0 || uid == geteuid())
		return 0;
	LOG_WARN(&n->actor.log, NULL, "client.stranger", K("uid", uid));
	return err_set(e, ERR_CLIENT_STRANGER, "uid %u is neither root nor the owner", uid);
}

/* Whoever has connected waits until it is known what the root helper has for VMs, or that it has
 * nothing: the first command after the host's start is not refused. */
static void accept_clients(struct node *n)
{
	int fd;

	if (n->env->system && !n->env->system->settled)
		return;
	while ((fd = io_listener_next(n->env->io, &n->listener)) >= 0) {
		struct err why = { 0 };

		if (stranger_check(n, fd, &why) < 0)
			; /* that is why */
		else if (n->env->stopping)
			err_set(&why, ERR_DAEMON_STOPPING, "the daemon is shutting down");
		else if (n->env->nclients >= CLIENTS_MAX)
			err_set(&why, ERR_BUSY, "%d connections already", (int)CLIENTS_MAX);
		if (why.code)
			client_refuse(n->env, fd, &why);
		else
			IGNORE(client_create(n->env, fd) < 0); /* it has been closed */
	}
}

static void handle(struct actor *a, struct msg *m)
{
	struct node *n = container_of(a, struct node, actor);

	switch ((enum msg_type)m->type) {
	case MSG_OP:
		op_arrived(n, container_of(m, struct op, msg));
		break;
	case MSG_OP_DONE:
		op_answered(n, container_of(m, struct op, msg));
		break;
	case MSG_COMMITTED:
		op_committed(n, m);
		break;
	case MSG_ACCEL_KNOWN:
		accel_known(n, container_of(m, struct op, accel.msg));
		break;
	case MSG_TASK_DONE:
		node_task_done(n, container_of(m, struct task, msg));
		break;
	case MSG_CANCEL:
		asker_left(n, container_of(m, struct serial_msg, msg)->serial);
		break;
	case MSG_TIMER:
		if (m == &n->leases.msg)
			node_end_leases(n);
		else
			expired(n, container_of(m, struct op, deadline.msg));
		break;
	case MSG_CLIENT_GONE:
		node_end_leases(n);
		msg_free(m);
		break;
	case MSG_VM_CHANGED:
		node_vm_changed(n, container_of(m, struct vm_changed_msg, msg));
		break;
	case MSG_LISTENER:
		if (n->listener.closed)
			n->listening = false;
		else
			accept_clients(n);
		break;
	case MSG_SYSTEM:
		if (n->listening && !n->listener.closed)
			accept_clients(n);
		break;
	case MSG_CHUNK:
		pass_chunk(n, container_of(m, struct chunk_msg, msg));
		break;
	case MSG_NONE:
	case MSG_TASK:
	case MSG_EVENT:
	case MSG_JOB_DONE:
	case MSG_PLAN_IO:
	case MSG_PLAN_TIMER:
	case MSG_IO:
	case MSG_EXIT:
	case MSG_NET:
	case MSG_NET_EXIT:
	case MSG_STREAM:
	case MSG_CONSOLE:
	case MSG_AGENT:
	case MSG_CONTROL:
	case MSG_RINGS:
	case MSG_DIALED:
	case MSG_VMM_SAID:
	case MSG_JAIL_DIALED:
	case MSG_ACCEL:
	case MSG_DB_FLUSH:
	case MSG_DB_DONE:
	case MSG_HELPER:
	case MSG_HELPER_UP:
	case MSG_NTYPES:
		ASSERT(!"no message for the node");
	}
}

int node_create(struct env *env, int listen_fd, struct node **ret_node, struct err *e)
{
	struct node *n = calloc(1, sizeof(*n));
	int rc = n ? actor_init(&n->actor, env->actors, handle) : -ENOMEM;

	if (rc < 0) {
		free(n);
		return err_set(e, ERR_HOST_MEMORY, "node");
	}
	(void)snprintf(n->actor.log.actor, sizeof(n->actor.log.actor), "node");
	n->env = env;
	env->node = n->actor.id;
	map_init(&n->ops);
	map_init(&n->ops_by_serial);
	map_init(&n->vms_by_id);
	map_init(&n->vms_by_name);
	list_init(&n->vms);
	list_init(&n->again);
	list_init(&n->watchers);
	io_timer_init(&n->leases, &n->actor, MSG_TIMER);
	if (logs_begin(n, &n->logs) < 0)
		rc = err_set(e, ERR_HOST_MEMORY, "logs");
	if (rc == 0)
		rc = node_load(n, e);
	if (rc == 0 && (sweep_begin(n) < 0 || (env->system && host_sweep_begin(n) < 0)))
		rc = err_set(e, ERR_HOST_MEMORY, "sweep");
	if (rc == 0) {
		rc = io_listener_open(env->io, &n->listener, &n->actor, MSG_LISTENER, listen_fd);
		if (rc < 0)
			err_num(e, ERR_HOST_IO, rc, "listen");
		n->listening = rc == 0;
	}
	*ret_node = n; /* the caller ends the process when this fails: what was adopted runs on */
	return rc;
}

/* Their operations have no other end. */
static void stop_watching(struct node *n)
{
	list_for_each (l, &n->watchers) {
		struct op *op = list_entry(l, struct op, follow);

		if (op->msg.type != MSG_OP_DONE) /* cancelled a moment ago */
			op_refuse(n->env, op, ERR_DAEMON_STOPPING, "the daemon is shutting down");
	}
}

void node_stop(struct node *n)
{
	if (n->env->stopping)
		return;
	n->env->stopping = true;
	if (n->listening)
		io_listener_close(n->env->io, &n->listener);
	stop_watching(n);
	consoles_stop(n->env);
	clients_stop(n->env);
}

bool node_stopped(const struct node *n)
{
	return !n->listening && db_idle(n->env->db);
}
