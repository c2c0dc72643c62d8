/* target.h - what the jail operations act on, made by their validate(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/id.h"
#include "helper/conf.h"
#include "proto/helper.h"

/* A jail is a directory that bears the VM's id, a cgroup of that name, and a slot's uid. */
struct jail {
	const struct helper_conf *conf; /* borrowed */
	char id[VM_ID_CHARS + 1];
	vm_id vm;
	uint32_t slot;
	uid_t uid;
};

/* What is made ahead of demand for slots, one after the other. */
struct jails_target {
	const struct helper_conf *conf; /* borrowed */
	uint32_t first;
	uint32_t count;
	uid_t uid;  /* of the first */
	bool run;   /* as of vmm_target */
	bool stdio; /* likewise */
};

enum jail_file {
	JAIL_KERNEL,
	JAIL_INITRD,
	JAIL_CONFIG,
	JAIL_BASE,
	JAIL_DISK,
	JAIL_CONSOLE,
	JAIL_NFILES,
};

enum jail_socket {
	JAIL_CONTROL,
	JAIL_AGENT,
	JAIL_SERIAL,
	JAIL_NSOCKETS,
};

struct vmm_target {
	struct jail jail;
	uint32_t vmm;                   /* row of conf->vmms */
	const char *files[JAIL_NFILES]; /* borrowed from the request; NULL: none */
	bool sockets[JAIL_NSOCKETS];
	bool snapshot;        /* its disk is the VM's in device-mapper */
	bool stdio;           /* its console is its standard input and output */
	bool heard;           /* ... the latter a socket */
	bool run;             /* it gets a directory of its own */
	const char *listener; /* borrowed from the request; NULL: none */
	uint64_t memory_max;
	uint32_t cpu_max;
	struct wire_span args; /* borrowed from the request: words, each with its NUL */
};

struct find_target {
	struct jail jail;
	const char *listener; /* borrowed from the request; NULL: none */
};

struct signal_target {
	struct jail jail;
	int signal;
};

struct trim_target {
	struct jail jail;
	uint64_t console_keep;
	uint64_t log_keep;
};

struct socket_target {
	struct jail jail;
	const char *name; /* borrowed from the request */
};
