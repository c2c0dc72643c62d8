/* vm.h - one virtual machine: its record, its state, and the plans that move it.
 *
 *   creating -> created -> starting -> running -> stopping -> stopped
 *                  \          \__________\___________\______> failed
 *                   `--------------------- deleting (from any that does not run)
 *
 * The node owns the struct and talks to it by message: MSG_TASK (one at a time, others wait in
 * order), MSG_OP (exec), MSG_CHUNK (bytes of an exec), MSG_CANCEL.  A stopped VM is its record and
 * little else; what a start needs lives in `run`, which exists from a task's begin until the VM
 * holds nothing. Files: vm.c (mailbox, tasks), vm_create.c, vm_start.c (the plans; their steps also
 * in vm_channel.c, vm_vmm.c and vm_system.c), vm_stop.c, vm_exec.c (commands), guest_link.c (the
 * agent's conversation).
 */
#pragma once

#include "actors/accel.h"
#include "actors/fsm.h"
#include "actors/guest_link.h"
#include "actors/limits.h"
#include "actors/system.h"
#include "actors/task.h"
#include "actors/vm_net.h"

/* Files of a VM in its state directory. */
#define VM_FILE_DISK    "disk.qcow2"
#define VM_FILE_UPPER   "disk.ext4"  /* instead, for a VMM that reads raw disks */
#define VM_FILE_COW     "rootfs.cow" /* in system mode; the root helper knows it by this name */
#define VM_FILE_RAW     "disk.raw"   /* likewise, where it has no device-mapper */
#define PROBE_FILE      "probe.elf"  /* of libexec; in system mode a copy in the state directory */
#define VM_FILE_CONSOLE "console.log"
#define VM_FILE_LOG     "vmm.log"

/* ... and in its runtime directory, of a VMM that listens itself. */
#define VM_FILE_CONFIG     "vmm.json"
#define VM_FILE_ERRORS     "vmm.err" /* its stderr: the log is its own */
#define VM_FILE_CONSOLE_IN "console.in"
#define VM_FILE_CONTROL    "control.sock"
#define VM_FILE_VSOCK      "vsock"
#define VM_FILE_CALLS      "vsock_1024" /* VMM_VSOCK_RING_PORT */
#define VM_FILE_NET        "vsock_1025" /* GUEST_VSOCK_NET_PORT */

enum vm_state {
	VM_CREATING, /* the record exists; files are being made; undone after a crash */
	VM_CREATED,  /* never started */
	VM_STARTING, /* the start plan runs, forward or backward */
	VM_RUNNING,  /* a VMM lives and the guest has said that it is up */
	VM_STOPPING, /* powering off, killing, tearing down */
	VM_STOPPED,  /* holds files only */
	VM_FAILED,   /* as stopped, and `failure` says why; or undo failed and is retried */
	VM_DELETING, /* files are being removed, then the record; retried until that is done */
	VM_NSTATES,
};

extern const struct fsm_state vm_states[VM_NSTATES];

/* A request to the VMM that it has not answered yet. */
struct vm_asked {
	uint32_t id; /* of the request, where the VMM's conversation has such */
	enum vmm_call call;
	enum vmm_limited device; /* of VMM_CALL_LIMIT */
	struct actor_id who;     /* of VMM_CALL_MEMORY: hears MSG_VMM_SAID */
};

/* What a VM has only while something happens to it or it runs. */
struct vm_run {
	struct vm *vm; /* borrowed: our owner */
	struct plan plan;
	struct db_wait commit;
	struct accel_wait accel;
	struct gate_wait gate;
	struct vm_resources res;     /* as last put into the store */
	int listen_fd[VMM_NSOCKETS]; /* owned until the VMM has them */
	struct io_stream stream[VMM_NSOCKETS];
	bool stream_open[VMM_NSOCKETS]; /* the stream holds a descriptor: close and wait for its end
					 */
	struct vm_net net;
	struct guest_link link;     /* the conversation on the agent's stream */
	struct list early;          /* msg.link: commands, and what belongs to them, that wait */
	uint32_t nearly;            /* ... for the agent, so many */
	struct io_timer early_over; /* ... until then */
	struct buf console;         /* the line being looked at, until the guest is up */
	uint32_t console_rest_ms;
	struct io_timer console_again; /* ... and when the next part of it is read */
	struct buf control;            /* bytes of the control channel not yet parsed */
	struct strv argv, envp;
	struct io_spawn spawn;
	struct cgroup_limits limits; /* what a worker writes into ... */
	int cgroup_fd;               /* ... the VM's control group, until the VMM is born in it */
	int log_fd;                  /* the VMM's stdout and stderr; or the latter alone, and ... */
	int in_fd, out_fd;           /* ... its console */
	struct buf config;           /* what a worker writes for it to read */
	struct io_listener rings;    /* where the guest's agent asks to be called; MSG_RINGS */
	bool rings_open;             /* ... holds a descriptor: close and wait for its end */
	struct io_timer ring_pause;  /* until it fires they are not listened to */
	struct io_timer redial;      /* a running guest's agent is called that has not rung */
	bool calls_back;             /* it is to be called when it rings ... */
	bool rung;                   /* ... which it has since we called last */
	bool dialing;                /* it is being called: `dial`, or the helper's answer */
	struct io_op dial;           /* MSG_DIALED */
	bool keep_log;               /* it tells why the VM failed */
	int pidfd;
	struct io_op exit;               /* poll on pidfd: MSG_EXIT */
	bool exited;                     /* ... has come */
	bool unkilled;                   /* system mode: the VMM was to be killed, and may live */
	bool asks_end;                   /* likewise: it has ended by itself; how is to be told */
	bool end_told;                   /* ... and has been, of the VMM that was launched last */
	bool shut_down;                  /* the guest has ended itself, the VMM says */
	bool ready;                      /* the guest has said that it is up */
	bool ready_line;                 /* ... the probe, on its console */
	bool missed;                     /* the VMM ended while no daemon ran */
	char tap[HELPER_IFNAME_MAX + 1]; /* system mode: its network, while it starts */
	struct err work_err;             /* of a job on a worker thread; read after its answer */
	char *work_backing; /* owned: the image's file under the disk that a job makes, or NULL */
	enum vm_state end_state; /* where unwinding leads */
	enum vm_state before;    /* where a start leads that was given up before its intent */
	bool intended;           /* the intent was put: the record is not what it was */
	struct err given_up; /* ... why, while the record of a create is still to be committed */
	uint64_t boot_us;    /* reactor's clock at the VMM's start */
	uint64_t ready_us;   /* from there to ready */
	uint32_t control_id; /* of the latest request */
	struct vm_asked asked[CONTROL_ASKED_MAX]; /* a ring, oldest at asked_at */
	uint32_t asked_at, nasked;
	uint32_t limits_waiting; /* answers to requests from limits_first on, that the plan needs */
	uint32_t limits_first;
	struct err limits_err; /* the first refusal */
	struct vm_change was;  /* owned: what a set changes, as it was: sizes, limits, all labels */
	bool set_stays;        /* ... is recorded, whatever comes of the rest */
	struct err create_err; /* why a create is being taken back */
	bool deleting;         /* the record says so: there is no way back */
};

struct vm {
	struct actor actor;
	struct env *env;         /* borrowed, outlives us */
	struct map_node by_id;   /* node.vms_by_id */
	struct map_node by_name; /* node.vms_by_name */
	struct list_node link;   /* node.vms */
	uint64_t serial;         /* of the node's: grows along node.vms */
	struct fsm fsm;
	struct vm_record rec;
	const struct vmm_driver *driver; /* borrowed, static */
	struct vm_run *run;              /* owned, or NULL */
	struct task *task;               /* the one at work, borrowed from its fleet */
	struct list tasks;               /* task.link: waiting their turn */
	uint32_t ntasks;
	struct list waiters; /* task.link: vm.wait */
	uint32_t nwaiters;
	struct io_timer retry; /* an undo that failed is tried again */
	uint32_t retry_ms;
	uint32_t dial_token; /* of the question to the helper by which the agent is called */
	uint32_t leaks; /* undo steps that failed last time, counted in env.leaks; `run` stays */
	struct actor_id lease;           /* the client whose end is ours; zero: none */
	bool named;                      /* the host's lists know us by name and id */
	bool gone;                       /* the record is deleted */
	struct vm_changed_msg last_word; /* that it is: to be said without memory */
};

/* A VM that is known to the store already (recovery), or is about to be (create).  Takes the
 * record's contents. */
int vm_create(struct env *env, struct vm_record *rec, struct vm **ret_vm);
void vm_destroy(struct vm *vm);

/* After a restart: adopts what runs, undoes what was half done.  `res` is NULL when it holds
 * nothing.  -errno: nothing was begun, and the daemon had better not start. */
int vm_recover(struct vm *vm, const struct vm_resources *res) MUST_CHECK;
void vm_missed(struct vm *vm); /* its VMM ended while no daemon ran */

/* The node's look at its child. */
void vm_view_fill(const struct vm *vm, struct vm_view *ret_view); /* borrows the spec's vectors */
bool vm_runs(const struct vm *vm);
bool vm_is_system(const struct vm *vm);       /* the root helper holds its disk, network and jail */
bool vm_console_is_ours(const struct vm *vm); /* we write what is printed there */
bool vm_is_asked(const struct vm *vm);        /* a task is at work, or waits */
static inline enum vm_state vm_state(const struct vm *vm)
{
	return (enum vm_state)vm->fsm.now;
}
int vm_state_by_name(const char *name); /* -EINVAL */
bool vm_at_rest(enum vm_state s);       /* exists and neither runs nor is on its way */
bool vm_at_work(enum vm_state s);       /* has a VMM, or may have one */

/* ---- between the vm_*.c files ---- */

struct vm_run *vm_run_begin(struct vm *vm); /* makes `run` unless it exists; NULL without memory */
void vm_run_end(struct vm *vm);             /* frees it: nothing may be held or in flight */
void vm_move(struct vm *vm, enum vm_state to);
void vm_task_done(struct vm *vm, const struct err *e); /* the task at hand is answered */
void vm_next_task(struct vm *vm);
void vm_out_of_memory(struct vm *vm); /* the task at hand cannot even begin */

/* Paths: "<state>/vms/<id>", and "<runtime>/vm/<id>" or, in system mode, the jail; and files in
 * them. On any thread: what they are made of never changes. */
void vm_state_path(const struct vm *vm, const char *file, char out[ENV_PATH_MAX]);
void vm_disk_path(const struct vm *vm, char out[ENV_PATH_MAX]);
bool vm_has_upper(const struct vm *vm);    /* its disk is an upper layer of its image's */
bool vm_has_snapshot(const struct vm *vm); /* ... is device-mapper's */
void vm_runtime_path(const struct vm *vm, const char *file, char out[ENV_PATH_MAX]);

/* Puts the record, and what it holds, into the open batch. */
int vm_put(struct vm *vm, enum vm_state state);
int vm_put_resources(struct vm *vm);
int vm_del_resources(struct vm *vm);
int vm_commit(struct vm *vm, struct plan *p); /* STEP_WAIT_OP for the batch with all that */
int vm_committed(struct plan *p, struct msg *m, struct err *e); /* its answer */
struct vm *vm_of(struct plan *p);

/* STEP_WAIT_OP for fn(vm->run) on a worker thread, which says in run->work_err what went wrong. */
int vm_work(struct plan *p, enum io_lane lane, io_work_fn *fn);
int vm_worked(struct plan *p, struct msg *m, struct err *e); /* its answer */

int vm_del_record(struct vm *vm);

/* vm_create.c */
extern const struct step vm_create_steps[];
extern const struct step vm_delete_steps[];
void vm_create_begin(struct vm *vm);
void vm_create_undo(struct vm *vm); /* recovery of one that was being created */
void vm_delete_begin(struct vm *vm);

/* vm_start.c */
bool vm_starts(const struct vm *vm); /* its plan is a start, on its way forward */
bool vm_is_adopted_by(const struct vm *vm, const struct plan *p);
void vm_start_begin(struct vm *vm);
void vm_adopt_begin(struct vm *vm);
void vm_unwind(struct vm *vm, enum vm_state end_state); /* the start plan, backward */
void vm_ready(struct vm *vm);                           /* the guest is up */
bool vm_has_agent(const struct vm *vm);

/* vm_channel.c */
void vm_channel_over(struct vm *vm, enum vmm_socket s); /* something of it has been closed */
/* Of the serial console's socket, once a VMM serves it; false: there is none to connect to. */
bool vm_console_path(const struct vm *vm, char out[ENV_PATH_MAX]);

/* vm_vmm.c: how it ends, and finding it again */
int vm_adopt(struct vm *vm, const struct vm_resources *res); /* -ESRCH: it is gone */
void vm_exited(struct vm *vm);
void vm_lost(struct vm *vm, int status); /* the VMM ended by itself; status as wait(2)'s, or -1 */
void vm_end_told(struct vm *vm, int status); /* of one whose parent is the root helper */
int vmm_seek(struct env *env, vm_id id); /* a pidfd of its VMM, by its command line; -ESRCH: none */

/* vm_system.c: a signal by the root helper */
extern const struct step vm_signal_steps[];
void vm_signal_begin(struct vm *vm);

/* vm_stop.c */
extern const struct step vm_stop_steps[];
void vm_stop_begin(struct vm *vm);
bool vm_powering_off(const struct vm *vm);

/* vm_ask.c: what clients ask of the guest */
void vm_question(struct vm *vm, struct op *op); /* by vm_exec(), once it may */
void vm_answered(struct vm *vm, struct op *op, const void *result, uint64_t took_us);
void vm_unanswered(struct vm *vm, struct op *op, const struct err *why);

/* vm_stats.c: takes the op.  `guest` is what the guest has said, or NULL and `why` not. */
void vm_stats_read(struct vm *vm, struct op *op, const struct guest_stats *guest,
		   const struct err *why);

/* vm_set.c */
extern const struct step vm_set_steps[];
void vm_set_begin(struct vm *vm);
void vm_set_ended(struct vm *vm, const struct plan *p);

/* vm_own.c: the agent of a VMM that listens itself */
void vm_own_rings(struct vm *vm);                            /* MSG_RINGS */
void vm_own_dialed(struct vm *vm, int fd);                   /* MSG_DIALED; fd or -errno */
bool vm_own_timer(struct vm *vm, const struct msg *m);       /* false: not one of its timers */
void vm_jail_dialed(struct vm *vm, struct helper_answer *a); /* vm_system.c: MSG_JAIL_DIALED */

/* vm_streams.c: console, control and agent channels */
void vm_stream_event(struct vm *vm, enum vmm_socket s);
void vm_console_again(struct vm *vm); /* the timer of that name */
extern const struct guest_link_ops vm_link_ops;

/* vm_control.c: the VMM's control channel */
void vm_control_read(struct vm *vm);
void vm_control_drain(struct vm *vm);                   /* what the VMM has said before it ended */
void vm_control_over(struct vm *vm);                    /* its stream is closed */
int vm_control_call(struct vm *vm, enum vmm_call call); /* -ENOTCONN, -EBUSY, -EOPNOTSUPP */
/* Likewise; the answer, or that none will come, goes to `who` as MSG_VMM_SAID. */
int vm_control_ask_memory(struct vm *vm, struct actor_id who);
/* Likewise; the answer goes to vm_limits_answered(). */
int vm_control_limit(struct vm *vm, enum vmm_limited device, const struct vmm_limits *limits);

/* vm_limits.c */
struct vmm_limits vm_limits_of(const struct vm *vm);
bool vm_limits_changed(const struct vm_change *set);
int vm_limits_check(const struct env *env, const struct vm_spec *s, bool has_disk, struct err *e);
/* True: it was the last that the plan waits for, which goes on by vm_limits_over(). */
bool vm_limits_answered(struct vm *vm, const struct vm_asked *asked, const struct vmm_answer *a);
void vm_limits_over(struct vm *vm);

/* vm_exec.c: commands, and those that wait for the agent */
void vm_exec(struct vm *vm, struct op *op);
void vm_exec_chunk(struct vm *vm, struct chunk_msg *m);
bool vm_exec_cancel(struct vm *vm, uint64_t serial);
void vm_exec_resume(struct vm *vm); /* the agent is up */
void vm_exec_refuse(struct vm *vm, const struct err *why);

/* vm_ended.c: what follows a plan's end */
extern const struct plan_ops vm_plan_ops;
void vm_retry(struct vm *vm); /* what could not be undone or deleted, once more */
