/* jail.h - the worker `jail`: stages what a VMM may see, has the zygote execute it, ends it, and
 * takes everything away again.
 *
 *   STATE_DIR/jails/            root's own, 0711
 *     ID/                       what the VMM sees as /vm: root's own, 0711
 *       kernel initrd base config  hard links of the owner's files, which all may read
 *       disk console            hard links, the slot's while the jail is there; or disk ->
 * /dev/disk control.sock ...        made by us, inherited by the VMM, the owner's to connect to
 *       vmm.log                 what it says; the slot's, for the owner to read
 *       console.in              a FIFO, where its console is its standard input
 *       run/                    the slot's own, for a VMM that makes sockets itself
 *       vmm -> "PID DEV INO"    who was executed: by this it is known again
 *     slot-N -> ID              who has the slot, and so its uid
 *     ahead-N/                  a jail that a VM of that slot will take: vmm.log, run/, console.in
 *   CGROUP/ID/
 *
 * It works in a mount namespace that holds the state directory, the cgroups and /proc, and nothing
 * else, so that there is no path to anything but these, whoever mounts what over a jail outside.
 */
#pragma once

#include "helper/jail/target.h"
#include "helper/launch.h"
#include "helper/op.h"

#define JAIL_SLOT_PREFIX  "slot-"
#define JAIL_AHEAD_PREFIX "ahead-"
#define JAIL_RUN          "run"
#define JAIL_INPUT        "console.in"
#define JAIL_OUTPUT       "console"
#define JAIL_LOG          "vmm.log"

enum {
	JAIL_SLOT_NAME = sizeof(JAIL_SLOT_PREFIX "65535"),
	JAIL_LAUNCH_FD = 4, /* where the worker has its link to the zygote */
	JAIL_END_MS =
		5000, /* for a killed VMM to be gone: it takes milliseconds, twenty with KVM */
	JAIL_DEPTH_MAX = 3, /* directories in each other: run/ is the only one */
};

/* Where these are in the worker's namespace. */
#define JAIL_STATE_DIR  "/state"
#define JAIL_JAILS_DIR  "/jails"
#define JAIL_CGROUP_DIR "/cgroup"
#define JAIL_PROC_DIR   "/proc"

struct jail_env {
	int state;  /* owned: the state directory; -EBADF where no VMM is configured */
	int jails;  /* owned: jails/ in it */
	int cgroup; /* owned */
	int proc;   /* owned */
};

/* As getdents64(2) has it. */
struct jail_entry {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

int jail_open(const struct helper_conf *conf, void **ret_env, struct err *e);

op_validate vmm_validate, jail_validate, jails_validate, find_validate, signal_validate,
	socket_validate, trim_validate;
op_step vmm_act, vmm_undo;
op_step kill_undo, cleanup_undo;

/* op_kill.c: answers for what has ended until there is a request on the link. */
void jail_rest(void *env, int link);
/* What was killed of the VM has ended, or will not be waited for any longer; it is answered. */
void jail_settle(void *env, vm_id vm);

op_step jails_act, jails_undo;
op_step signal_act, find_act, socket_act, trim_act, jail_report_act;

/* ---- parts: each says what it could not do, and is a fault point after each effect ---- */

/* What a system call returned: 0, or why not; then the fault point. */
int jail_did(long rc, const char *what, struct err *e) MUST_CHECK;

/* stage.c: slots; 1: one has it, 0: nobody. */
void slot_name(uint32_t slot, char out[JAIL_SLOT_NAME]);
int slot_holder(const struct jail_env *env, const char *name, char ret_id[VM_ID_CHARS + 1],
		struct err *e) MUST_CHECK;

/* stage.c: directory, files, what the VMM writes.  `ret_dir` is the jail's directory. */
int jail_dir_open(const struct jail_env *env, const struct jail *j) MUST_CHECK; /* -errno */
int stage_slot(const struct jail_env *env, const struct jail *j, struct err *e) MUST_CHECK;
int stage_dir(const struct jail_env *env, const struct jail *j, int *ret_dir,
	      struct err *e) MUST_CHECK;
int stage_files(const struct jail_env *env, const struct vmm_target *t, int dir,
		struct err *e) MUST_CHECK;
int stage_log(const struct jail *j, int dir, int *ret_log, struct err *e) MUST_CHECK;
void log_context(int dir, struct err *e); /* an error of a launch, with the end of the log */
int stage_run(const struct jail *j, int dir, struct err *e) MUST_CHECK;
int stage_input(const struct jail *j, int dir, int *ret_in, struct err *e) MUST_CHECK;
/* What has been staged. */
int stage_open(int dir, const char *name, int flags, int *ret_fd, struct err *e) MUST_CHECK;

/* op_jails.c: what was made ahead for the slot is the VM's jail from now on, if there is any. */
int ahead_take(const struct jail_env *env, const struct vmm_target *t, struct err *e) MUST_CHECK;

/* channel.c: both ends of a socket that has no name. */
int channel_pair(int *ret_ours, int *ret_its, struct err *e) MUST_CHECK;

/* channel.c: a socket that listens in run/ for the VMM. */
int channel_listen(int dir, const char *name, int *ret_listener, struct err *e) MUST_CHECK;

/* channel.c: a socket that listens there, and one that is connected to it. */
int channel_make(const struct jail *j, int dir, enum jail_socket s, int *ret_listener,
		 struct err *e) MUST_CHECK;
int channel_connect(int dir, enum jail_socket s, int *ret_fd, struct err *e) MUST_CHECK;

/* clear.c: a name of a jail is absent; a file that is the owner's is his again. */
int clear_file(const struct jail *j, int dir, const char *name, struct err *e) MUST_CHECK;

/* clear.c: the directory and the slot are absent; the owner has his files back. */
int clear_jail(const struct jail_env *env, const struct jail *j, struct err *e) MUST_CHECK;

/* group.c: the VM's cgroup. */
int group_make(const struct jail_env *env, const struct vmm_target *t, int *ret_group,
	       struct err *e) MUST_CHECK;
int group_remove(const struct jail_env *env, const struct jail *j, struct err *e) MUST_CHECK;

/* group.c: what was in a cgroup when it was killed, and ends in its own time. */
struct ending {
	int group;  /* owned: the cgroup */
	int events; /* owned: its cgroup.events; readable (POLLPRI) when that has changed */
	int pidfd;  /* owned: of a process that was in it; -EBADF: of none */
	uint64_t until_ms;
};
/* Kills whatever is in the cgroup: 1, what is to be waited for; 0: there is no cgroup. */
int ending_begin(const struct jail_env *env, const struct jail *j, struct ending *ret,
		 struct err *e) MUST_CHECK;
/* 1: nothing of it lives; 0: not yet. */
int ending_look(struct ending *x, struct err *e) MUST_CHECK;
int ending_rest_ms(const struct ending *x); /* for which it is waited for yet */
void ending_close(struct ending *x);
/* Kills, and waits. */
int group_kill(const struct jail_env *env, const struct jail *j, struct err *e) MUST_CHECK;
/* 1, 0, or -errno; absent: 0. */
int group_populated(const struct jail_env *env, const struct jail *j, struct err *e) MUST_CHECK;
/* Whether the process is in it. */
int group_has(const struct jail_env *env, const struct jail *j, pid_t pid,
	      struct err *e) MUST_CHECK;

/* process.c: how the VM's last VMM has ended, where the zygote has seen it. */
void process_end(vm_id vm, struct helper_end_view *ret);

/* process.c: the VMM that was executed in this jail, by what was noted then. */
int process_start(const struct vmm_target *t, int dir, const int *fds, uint32_t nfds,
		  pid_t *ret_pid, int *ret_pidfd, struct err *e) MUST_CHECK;
/* 1: it lives, by `ret_pidfd`; 0: there is none.  ERR_HELPER_REFUSED where a process is not what
 * was executed. */
int process_find(const struct jail_env *env, const struct jail *j, pid_t *ret_pid, int *ret_pidfd,
		 struct err *e) MUST_CHECK;
