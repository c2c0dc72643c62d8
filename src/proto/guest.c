/* guest.c - the tables of guest.h. */
#include "proto/guest.h"

/* clang-format off */
static const struct field guest_exec_args_fields[] = {
	FIELD(struct guest_exec_args, argv,       FIELD_STRV,  false, 0, ARGV_MAX, "the command; absent: a login shell"),
	FIELD(struct guest_exec_args, env,        FIELD_PAIRS, false, 0, UINT64_C(2) * ENV_MAX, "the VM's and the request's"),
	FIELD(struct guest_exec_args, cwd,        FIELD_STR,   false, 0, 0, "absent: /root, or / where there is none"),
	FIELD(struct guest_exec_args, tty,        FIELD_BOOL,  false, 0, 0, "in a terminal of its own; stderr comes as stdout"),
	FIELD(struct guest_exec_args, stdin_open, FIELD_BOOL,  false, 0, 0, "data of stream 0 will follow"),
	FIELD(struct guest_exec_args, rows,       FIELD_U32,   false, 1, TTY_CELLS_MAX, "with tty"),
	FIELD(struct guest_exec_args, cols,       FIELD_U32,   false, 1, TTY_CELLS_MAX, "with tty"),
	FIELD(struct guest_exec_args, window,     FIELD_U32,   false, 1, WIRE_CREDIT_MAX, "first credit of stdout and stderr each, bytes; absent: 262144"),
};
const struct schema guest_exec_args_schema = SCHEMA("guest_exec_args", struct guest_exec_args, guest_exec_args_fields);

static const struct field guest_copy_in_args_fields[] = {
	FIELD(struct guest_copy_in_args, path,     FIELD_BYTES, true,  0, PATH_BYTES_MAX, "from the root; any bytes"),
	FIELD(struct guest_copy_in_args, as,       FIELD_BOOL,  false, 0, 0, "where there is no directory at the path, what comes first in the archive gets its name; without this there must be one"),
	FIELD(struct guest_copy_in_args, no_owner, FIELD_BOOL,  false, 0, 0, "files are root's, not those of whom the archive says"),
	FIELD(struct guest_copy_in_args, window,   FIELD_U32,   false, 1, WIRE_CREDIT_MAX, "first credit of stderr, bytes; absent: 262144"),
};
const struct schema guest_copy_in_args_schema = SCHEMA("guest_copy_in_args", struct guest_copy_in_args, guest_copy_in_args_fields);

static const struct field guest_copy_out_args_fields[] = {
	FIELD(struct guest_copy_out_args, path,   FIELD_BYTES, true,  0, PATH_BYTES_MAX, "from the root; any bytes"),
	FIELD(struct guest_copy_out_args, follow, FIELD_BOOL,  false, 0, 0, "the path itself may be a symbolic link to what is meant"),
	FIELD(struct guest_copy_out_args, window, FIELD_U32,   false, 1, WIRE_CREDIT_MAX, "first credit of stdout and stderr each, bytes; absent: 262144"),
};
const struct schema guest_copy_out_args_schema = SCHEMA("guest_copy_out_args", struct guest_copy_out_args, guest_copy_out_args_fields);
static const struct field guest_port_fields[] = {
	FIELD(struct guest_port, proto,   FIELD_STR,  true,  1, 0, "tcp or udp"),
	FIELD(struct guest_port, address, FIELD_STR,  true,  1, 0, "that it listens on"),
	FIELD(struct guest_port, port,    FIELD_U32,  true,  1, UINT16_MAX, "that it listens on"),
	FIELD(struct guest_port, pid,     FIELD_U32,  false, 0, 0, "absent where no process was found"),
	FIELD(struct guest_port, process, FIELD_TEXT, false, 0, 0, "its name"),
};
const struct schema guest_port_schema = SCHEMA_OPEN("guest_port", struct guest_port, guest_port_fields);

static const struct field guest_ports_fields[] = {
	FIELD_SUB(struct guest_ports, ports, FIELD_LIST, false, 0, GUEST_PORTS_MAX, &guest_port_schema, "by protocol and port"),
	FIELD(struct guest_ports, omitted,   FIELD_U32,  false, 0, 0, "that were too many to be told"),
};
const struct schema guest_ports_schema = SCHEMA_OPEN("guest_ports", struct guest_ports, guest_ports_fields);

static const struct field guest_status_fields[] = {
	FIELD(struct guest_status, boot_id,   FIELD_STR,  true,  1, 0, "of /proc/sys/kernel/random"),
	FIELD(struct guest_status, hostname,  FIELD_TEXT, false, 0, 0, "of the guest"),
	FIELD(struct guest_status, kernel,    FIELD_TEXT, false, 0, 0, "as uname -r says it"),
	FIELD(struct guest_status, os,        FIELD_TEXT, false, 0, 0, "PRETTY_NAME of os-release"),
	FIELD(struct guest_status, agent,     FIELD_STR,  false, 0, 0, "version of the agent"),
	FIELD(struct guest_status, uptime_ms, FIELD_U64,  false, 0, 0, "since the guest's boot"),
};
const struct schema guest_status_schema = SCHEMA_OPEN("guest_status", struct guest_status, guest_status_fields);

const struct client_method_row guest_methods[GUEST_METHOD_NMETHODS] = {
#define METHOD(sym, name, args, result, doc) [GUEST_METHOD_##sym] = { name, &args, &result, doc },
	GUEST_METHODS(METHOD)
#undef METHOD
};
/* clang-format on */

int guest_method_find(const char *name, enum guest_method *ret_method)
{
	const int i = method_find(guest_methods, GUEST_METHOD_NMETHODS, name);

	if (i < 0)
		return i;
	*ret_method = (enum guest_method)i;
	return 0;
}
