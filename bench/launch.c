#include "bench/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/client.h"

/* Where the probe may be, seen from the folder of our own program. */
static const char *const probe_places[] = {
	"../guest/probe/probe.elf",    /* the build directory */
	"../libexec/banger/probe.elf", /* installed */
};

/* Sockets, and what the VMM reads and writes, of all VMMs alike but for the first. */
static int dir_make(struct launch *l, struct err *e)
{
	CLEANUP_FD int config = -EBADF;
	CLEANUP_FD int log = -EBADF;
	struct buf text;

	(void)snprintf(l->dir, sizeof(l->dir), "/tmp/banger-bench.XXXXXX");
	if (!mkdtemp(l->dir)) {
		const int rc = err_sys(e, ERR_HOST_IO, "mkdtemp %s", l->dir);

		l->dir[0] = '\0';
		return rc;
	}
	(void)snprintf(l->config, sizeof(l->config), "%s/vmm.json", l->dir);
	(void)snprintf(l->log, sizeof(l->log), "%s/vmm.log", l->dir);
	config = open(l->config, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	log = open(l->log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (config < 0 || log < 0)
		return err_sys(e, ERR_HOST_IO, "%s", l->dir);
	buf_init(&text, VMM_CONFIG_MAX);
	int rc = l->driver->config ? l->driver->config(&l->machine, &text, e) : 0;
	if (rc == 0 && write(config, buf_data(&text), buf_len(&text)) != (ssize_t)buf_len(&text))
		rc = err_sys(e, ERR_HOST_IO, "%s", l->config);
	buf_fini(&text);
	return rc;
}

int launch_init(struct launch *l, const struct bench_args *a, struct err *e)
{
	*l = (struct launch){ .driver = vmm_find(a->vmm) };
	if (!l->driver || !l->driver->program)
		return err_set(e, ERR_VMM_MISSING, "'%s' is no VMM with a program", a->vmm);
	l->accel = a->accel ? a->accel : l->driver->kvm_only ? "kvm" : "tcg";
	const int rc = launch_probe(a->probe, l->probe, sizeof(l->probe), e);
	if (rc < 0)
		return rc;
	l->machine = (struct vmm_machine){
		.binary = l->driver->program,
		.id = 1, /* any: nothing on the host is named after it */
		.name = "bench",
		.guest = VMM_GUEST_PROBE,
		.accel = strcmp(l->accel, "kvm") == 0 ? VMM_ACCEL_KVM : VMM_ACCEL_TCG,
		.vcpu = 1,
		.memory_bytes = MEMORY_MIN_BYTES, /* what a VM of the image "probe" gets */
		.kernel = l->probe,
		.console_log = "/dev/null",
		.sandbox = true,
		.config = l->config,
		.log = l->log,
		.control = l->control,
	};
	for (int i = 0; i < VMM_NSOCKETS; i++)
		l->machine.socket_fd[i] = -1;
	if (l->driver->channels == VMM_CHANNELS_OWN)
		return dir_make(l, e);
	l->machine.socket_fd[VMM_SOCKET_CONSOLE] = LAUNCH_CONSOLE_FD;
	return 0;
}

void launch_fini(struct launch *l)
{
	if (!l->dir[0])
		return;
	for (uint32_t i = 0; i < l->n; i++) {
		(void)snprintf(l->control, sizeof(l->control), "%s/%u", l->dir, i);
		IGNORE(unlink(l->control) < 0);
	}
	IGNORE(unlink(l->config) < 0);
	IGNORE(unlink(l->log) < 0);
	IGNORE(rmdir(l->dir) < 0);
	l->dir[0] = '\0';
}

int launch_argv(struct launch *l, struct strv *ret_argv, struct err *e)
{
	struct strv argv = { 0 };

	(void)snprintf(l->control, sizeof(l->control), "%s/%u", l->dir, l->n++);
	const int rc = l->driver->argv(&l->machine, &argv, e);

	if (rc < 0) {
		strv_fini(&argv);
		return rc;
	}
	*ret_argv = argv;
	return 0;
}

int launch_probe(const char *given, char *out, size_t size, struct err *e)
{
	char self[PATH_MAX];

	if (given) {
		if ((size_t)snprintf(out, size, "%s", given) >= size || access(out, R_OK) < 0)
			return err_sys(e, ERR_IMAGE_NOT_FOUND, "probe guest %s", given);
		return 0;
	}

	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_sys(e, ERR_HOST_IO, "/proc/self/exe");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < ARRAY_LEN(probe_places); i++) {
		if ((size_t)snprintf(out, size, "%s/%s", self, probe_places[i]) < size &&
		    access(out, R_OK) == 0)
			return 0;
	}
	return err_set(e, ERR_IMAGE_NOT_FOUND, "no probe guest beside %s; give --probe", self);
}
