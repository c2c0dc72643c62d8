#include "bench/launch.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/client.h"
#include "vmm/vmm.h"

/* Where the probe may be, seen from the folder of our own program. */
static const char *const probe_places[] = {
	"../guest/probe/probe.elf",    /* the build directory */
	"../libexec/banger/probe.elf", /* installed */
};

int launch_argv(const char *vmm, const char *accel, const char *probe, struct strv *ret_argv,
		struct err *e)
{
	const struct vmm_driver *driver = vmm_find(vmm);
	struct strv argv = { 0 };
	struct vmm_machine m = {
		.id = 1, /* any: nothing on the host is named after it */
		.name = "bench",
		.guest = VMM_GUEST_PROBE,
		.accel = strcmp(accel, "kvm") == 0 ? VMM_ACCEL_KVM : VMM_ACCEL_TCG,
		.vcpu = 1,
		.memory_bytes = MEMORY_MIN_BYTES, /* what a VM of the image "probe" gets */
		.kernel = probe,
		.console_log = "/dev/null",
		.sandbox = true,
	};

	if (!driver || !driver->program)
		return err_set(e, ERR_VMM_MISSING, "'%s' is no VMM with a program", vmm);
	m.binary = driver->program;
	for (int i = 0; i < VMM_NSOCKETS; i++)
		m.socket_fd[i] = -1;
	m.socket_fd[VMM_SOCKET_CONSOLE] = LAUNCH_CONSOLE_FD;

	const int rc = driver->argv(&m, &argv, e);

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
