/* node.h - the root supervisor: who exists, what is asked, and who gets the answer.
 *
 * Owns every VM and every operation's fleet.  All requests come here first; those on VMs become one
 * task per VM, whose results are put together again; questions are answered from memory. Operations
 * that change something are remembered in the store under their op_id before they begin and with
 * their result before the reply.
 * Files: node.c (mailbox, operations), node_ops.c (what operations did), node_events.c (what is
 * told), node_vms.c (registry, tasks), node_create.c, node_query.c (questions).
 */
#pragma once

#include "actors/op.h"
#include "actors/task.h"
#include "actors/vm.h"

/* How long the result of an operation took to become durable.  Its record cannot hold this. */
struct op_commit {
	struct op_id id;
	uint64_t us;
};

struct logs;

struct node {
	struct actor actor;
	struct env *env; /* borrowed */
	struct io_listener listener;
	bool listening;
	struct map ops;           /* op.by_id, by op_id: under way */
	struct map ops_by_serial; /* op.by_serial: those, and who follows them */
	struct map vms_by_id;
	struct map vms_by_name;
	struct list vms; /* vm.link, by vm.serial */
	uint32_t nvms;
	uint64_t serials;     /* given to VMs so far */
	struct list again;    /* task.link: made anew once what recovery unmakes is gone */
	struct list watchers; /* op.follow: the watch operations */
	uint32_t nwatchers;
	struct logs *logs;                         /* borrowed: an actor that lives as long */
	struct io_timer leases;                    /* a deletion that failed is tried again */
	uint64_t finished;                         /* durable operations, since the last trim */
	struct op_commit commits[OP_COMMITS_KEEP]; /* a ring, of the latest */
	uint32_t commit_at;
	bool exit; /* daemon.stop was asked: the loop ends once all is said */
};

/* Takes the listening descriptor.  Loads the records and adopts or undoes what they say. */
int node_create(struct env *env, int listen_fd, struct node **ret_node, struct err *e);
void node_stop(struct node *n); /* refuses what comes, answers what is left */
bool node_stopped(const struct node *n);

/* ---- between the node_*.c files ---- */

struct vm *node_vm(const struct node *n, vm_id id);
int node_find(struct node *n, const char *ref, struct vm **ret_vm, struct err *e);
int node_load(struct node *n, struct err *e);
void node_vm_changed(struct node *n, struct vm_changed_msg *m); /* frees it */
/* True: which VMM they get is not known yet; MSG_ACCEL_KNOWN follows. */
bool node_awaits_accel(struct node *n, struct op *op);
void node_create_vms(struct node *n, struct op *op);
void node_resolve(struct node *n, struct op *op);
void node_targets(struct node *n, struct op *op);
void node_task_done(struct node *n, struct task *t);
void node_cancel_tasks(struct node *n, struct op *op);
void node_end_leases(struct node *n); /* deletes the VMs whose clients are gone */
bool node_lease_is_over(const struct node *n, const struct vm *vm);
void node_cancel(struct node *n, const struct op_id *id, struct err *e);
void node_answer(struct node *n, struct op *op); /* questions */
void node_info(struct node *n, struct op *op);   /* the answer to one, now */
bool node_labels_match(const struct strv *want, const struct strv *have);
struct op *node_op(const struct node *n, const struct op_id *id); /* under way, or NULL */
void node_deadline(struct node *n, struct op *op, uint32_t ms);
void node_task_row(const struct node *n, const struct task *t, struct target_result *ret_row);

/* node_vms.c, for the others */
struct vm *node_vm_by_name(const struct node *n, const char *name);
int node_add_vm(struct node *n, struct vm *vm);
int node_fleet_make(struct node *n, struct op *op, uint32_t count); /* < 0: the op is refused */
void node_task_send(struct node *n, struct task *t, const struct vm *vm);
void node_task_skip(struct node *n, struct task *t, const struct vm *vm); /* done already */
void node_task_fail(struct node *n, struct task *t, const struct err *e);

/* node_create.c: a create that a crash cut short, and what recovery unmakes of it */
bool node_create_again(struct node *n, struct task *t); /* false: it could not be unmade */
void node_create_rest(struct node *n, vm_id gone);      /* is made anew now */

/* node_events.c */
void node_watch(struct node *n, struct op *op);
void node_watch_end(struct node *n, struct op *op);
void node_event_vm(struct node *n, const struct vm *vm, const struct vm_changed_msg *m);
void node_event_op(struct node *n, const struct op *op); /* it has begun or ended */
void node_event_objects(struct node *n, const struct op *op);

/* node_ops.c */
int node_op_record(struct node *n, const struct op_id *id, struct op_record *ret_rec);
int node_op_put(struct node *n, struct op *op, bool done);
void node_op_committed(struct node *n, const struct op *op);
void node_op_show(struct node *n, struct op *op);
void node_op_list(struct node *n, struct op *op);
void node_op_wait(struct node *n, struct op *op);
void node_op_ended(struct node *n, struct op *ended, struct op *waits); /* answers op.wait */
