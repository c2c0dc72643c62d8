/* firecracker.c - how Firecracker is started: by a short command line and a configuration file.
 *
 * Facts: its documentation (getting-started, api_requests, vsock, entropy, ballooning), its source,
 * and measurements with 1.16.1; docs/adr/0020-firecracker-by-configuration-file.md.
 *   - With --config-file it boots at once, and its API is there for later calls.
 *   - It has no sandbox to be asked for: its system call filter is in force unless told otherwise.
 *   - Words after "--" are for nobody: there goes the one by which the process is found again.
 *   - Its own log would be mixed with the guest's serial output unless it has a file of its own.
 */
#include "vmm/firecracker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define MIB (UINT64_C(1) << 20)

#define VSOCK_PORT_MOST "_1025" /* of the ports that anybody here connects to */

enum {
	VCPU_LIMIT = 32, /* MAX_SUPPORTED_VCPUS */
	OVERHEAD_MIB = 48,
	OVERHEAD_VCPU_MIB = 4,
	PAGE_TABLES = 64, /* one part in so many of the guest's memory, and then some */
};

/* Of a socket that it is to make itself, with what it appends for a port of the host's. */
static int path_check(const char *path, const char *appended, struct err *e)
{
	const size_t len = path ? strlen(path) + strlen(appended) : 0;

	if (len >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(e, ERR_BAD_REQUEST,
			       "firecracker's sockets have paths of at most %zu bytes, and this "
			       "one %zu: the runtime directory is too deep: %.80s",
			       sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1, len, path);
	return 0;
}

static int check(const struct vmm_machine *m, struct err *e)
{
	if (m->accel != VMM_ACCEL_KVM)
		return err_set(e, ERR_VMM_NO_KVM, "firecracker runs guests under KVM only");
	if (m->vcpu > VCPU_LIMIT)
		return err_set(e, ERR_VM_SIZE, "%u vcpus; firecracker has at most %d", m->vcpu,
			       VCPU_LIMIT);
	if (m->guest == VMM_GUEST_LINUX && m->net == VMM_NET_USER)
		return err_set(e, ERR_BAD_REQUEST, "firecracker has no user network of its own");
	if (path_check(m->control, "", e) < 0 || path_check(m->vsock, VSOCK_PORT_MOST, e) < 0)
		return err_errno(e);
	return vmm_size_check(m, e);
}

/* What it takes beside the guest's memory: 448 KiB for a probe, some MiB with all its devices, and
 * what the kernel keeps for KVM. */
static uint64_t overhead(const struct vmm_machine *m)
{
	return OVERHEAD_MIB * MIB + m->vcpu * OVERHEAD_VCPU_MIB * MIB +
	       m->memory_bytes / PAGE_TABLES;
}

/* Its id says in its log which VM it is. */
static int firecracker_argv(const struct vmm_machine *m, struct strv *argv, struct err *e)
{
	char id[VM_ID_CHARS + 1];
	char process[VMM_WORD_BYTES];
	/* clang-format off */
	const char *const words[] = {
		m->binary,
		"--id", id,
		"--api-sock", m->control,
		"--config-file", m->config,
		"--log-path", m->log,
		"--level", "Error",
		m->sandbox ? NULL : "--no-seccomp",
		"--", process,
	};
	/* clang-format on */
	int rc = check(m, e);

	vm_id_text(m->id, id);
	vmm_process_word(m->id, m->home, process);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(words); i++)
		if (words[i] && strv_add(argv, words[i]) < 0)
			rc = err_set(e, ERR_HOST_MEMORY, "firecracker: command line");
	return rc;
}

/* "2026-11-24T11:54:38.356271276 [id:thread] where: why", and after that how it ends because of it.
 */
static const char *blame(char *tail)
{
	static const char *const wheres[] = {
		"] ", "RunWithApiError error: ", "Failed to build MicroVM from Json: ",
		"Configuration for VMM from one single json failed: ",
		"Could not Start MicroVM from one single json: ",
		/* Where in it the reason arose, which is not the reason. */
		"System configuration error: ", "invalid kernel image: ", "Block device error: ",
		"Unable to create the virtio block device: ", "Virtio backend error: ",
		"Vsock device error: ", "Cannot create backend for vsock device: "
	};
	static const char exiting[] = "Firecracker exiting";
	char *end = NULL;

	/* In a jail its stderr follows in the same file, and says it no better. */
	for (char *at = strstr(tail, exiting); at; at = strstr(at + 1, exiting))
		end = at;
	if (end)
		*end = '\0';
	char *line = strrchr(tail, '\n');
	if (end && line) {
		*line = '\0';
		line = strrchr(tail, '\n');
	}
	const char *why = line ? line + 1 : tail;

	for (size_t i = 0; i < ARRAY_LEN(wheres); i++) {
		const char *at = strstr(why, wheres[i]);

		why = at ? at + strlen(wheres[i]) : why;
	}
	return why;
}

static int config(const struct vmm_machine *m, struct buf *out, struct err *e)
{
	const int rc = check(m, e);

	return rc < 0 ? rc : firecracker_config(m, out, e);
}

const struct vmm_driver vmm_firecracker = {
	.name = "firecracker",
	.program = "firecracker",
	.has_control = true,
	.starts_light = true,
	.channels = VMM_CHANNELS_OWN,
	.kvm_only = true,
	.disk_format = "raw",
	.version = firecracker_version,
	.blame = blame,
	.overhead = overhead,
	.argv = firecracker_argv,
	.config = config,
	.greet = firecracker_greet,
	.call = firecracker_call,
	.limit = firecracker_limit,
	.parse = firecracker_parse,
};
