#include "bench/launch.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the probe may be, seen from the folder of our own program. */
static const char *const probe_places[] = {
	"../guest/probe/probe.elf",    /* the build directory */
	"../libexec/banger/probe.elf", /* installed */
};

static int qemu_argv(const char *accel, const char *probe, struct strv *argv)
{
	static const char *const fixed[] = {
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
	};
	int rc = strv_add(argv, "qemu-system-x86_64");

	if (rc == 0)
		rc = strv_add(argv, "-M");
	if (rc == 0)
		rc = strv_addf(argv,
			       "microvm,accel=%s,x-option-roms=off,pit=off,pic=off,rtc=off,"
			       "isa-serial=on",
			       accel);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(fixed); i++)
		rc = strv_add(argv, fixed[i]);
	if (rc == 0)
		rc = strv_add(argv, "-m");
	if (rc == 0)
		rc = strv_addf(argv, "%uM", (unsigned)(LAUNCH_MEMORY_BYTES >> 20));
	if (rc == 0)
		rc = strv_add(argv, "-kernel");
	if (rc == 0)
		rc = strv_add(argv, probe);
	return rc;
}

int launch_argv(const char *vmm, const char *accel, const char *probe, struct strv *ret_argv,
		struct err *e)
{
	struct strv argv = { 0 };

	if (strcmp(vmm, "qemu") != 0)
		return err_set(e, ERR_VMM_MISSING, "the bare launcher knows qemu, not '%s'", vmm);
	if (qemu_argv(accel, probe, &argv) < 0) {
		strv_fini(&argv);
		return err_set(e, ERR_HOST_MEMORY, "no memory for a command line");
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
