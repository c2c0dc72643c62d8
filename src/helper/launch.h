/* launch.h - what `jail` asks of the zygote: to execute a VMM, whose program a process runs, and
 * how a VMM has ended.
 *
 * One message of fixed size, followed by the VMM's words; one answer.  The zygote rebuilds what it
 * can (program, jail, names) from the configuration and the VM's id, and checks the rest.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/id.h"
#include "helper/conf.h"
#include "proto/helper.h"

enum {
	LAUNCH_ARGS_MAX = HELPER_VMM_ARGS_MAX, /* bytes, each word with its NUL */
	LAUNCH_WORDS_MAX = 256,
	LAUNCH_SOCKETS_MAX = 3, /* listening sockets that a VMM inherits */
};

/* Descriptors of the VMM: its sockets are numbered from here.  Errors go to its log, and so does
 * its output where its console is elsewhere; standard input is then /dev/null. */
enum {
	LAUNCH_FD_FIRST = 3,
};

/* Where it sees its jail's directory. */
#define LAUNCH_DIR "/vm"

/* Where the VM's snapshot is, and what leads there: a disk is /vm/disk, of whatever kind it is. */
#define LAUNCH_DISK "/dev/disk"

/* Descriptors of a START, in this order; then the sockets; then, with `stdio`, what it reads as its
 * standard input, and where its output goes. */
enum {
	LAUNCH_FD_CGROUP,
	LAUNCH_FD_LOG,
	LAUNCH_FDS_FIXED,
	LAUNCH_FDS_STDIO = 2,
};

enum launch_kind {
	LAUNCH_START, /* with descriptors, and the VMM's words */
	LAUNCH_LOOK,  /* no descriptors */
	LAUNCH_END,   /* likewise */
	LAUNCH_NKINDS,
};

struct launch_ask {
	uint32_t kind;
	uint32_t vmm; /* START: row of conf->vmms */
	vm_id vm;     /* START, END */
	uid_t uid;
	uint32_t nsockets;
	uint32_t stdio;    /* 0 or 1 */
	uint32_t args_len; /* bytes that follow */
	pid_t pid;         /* LOOK: of which process */
	uint32_t snapshot; /* START: whether it has the VM's snapshot, as LAUNCH_DISK */
};

struct launch_told {
	pid_t pid;    /* START; its pidfd comes along */
	uint64_t dev; /* the program's file, START and LOOK */
	uint64_t ino;
	struct helper_end_view end; /* END */
	struct err err;             /* code ERR_NONE: none of these is missing */
};

struct launcher; /* what the zygote keeps for it */

/* What the zygote opens for it while it starts; NULL where no VMM is configured.  `ends` is what
 * tells it of their ends (launch_end.h). */
int launcher_open(const struct helper_conf *conf, int ends, struct launcher **ret,
		  struct err *e) MUST_CHECK;

/* Into the namespace where there is nothing but what `jail` works on.  -errno. */
int launcher_enter(const struct launcher *l) MUST_CHECK;

/* Serves one request; negative: the link is to be closed. */
int launcher_serve(struct launcher *l, int link) MUST_CHECK;
