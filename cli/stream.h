/* stream.h - commands in guests, with their input and output.
 *
 *   our stdin  --data within the daemon's credit-->  command
 *   our stdout, stderr  <--data within ours--  command;  credit goes back as bytes are written
 *
 * So memory is bounded by the windows, however much flows.  One command's output passes unchanged;
 * of several each line begins with its VM's name.
 */
#pragma once

#include "options.h"
#include "proto/client.h"
#include "session.h"

struct stream_target {
	char ref[REF_MAX + 1];
	char name[VM_NAME_MAX + 1];
};

/* Runs args in one VM; reports its own failures.  The exit status of `vm exec`. */
int stream_one(struct session *s, const struct exec_args *args, const struct op_id *op_id);

/* Runs args (its ref is not looked at) in n VMs at once, without standard input.  How many failed:
 * the command's status was not 0, or it could not run. */
uint32_t stream_many(struct session *s, const struct exec_args *args,
		     const struct stream_target *targets, uint32_t n);

/* The command that the options ask for; `argv` empty where a shell is wanted. */
int stream_args(const struct options *o, bool shell, struct exec_args *ret_args,
		struct err *e) MUST_CHECK;
