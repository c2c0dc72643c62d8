#include "guest/agent/power.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"

/* What ends the machine: a power-off, or a reset where there is none to switch off (Firecracker):
 * the kernel's command line says so. */
struct off {
	const char *program;
	int signal; /* systemd(1): SIGRTMIN + this starts poweroff.target, reboot.target */
};
static const struct off power = { "/sbin/poweroff", 4 };
static const struct off reset = { "/sbin/reboot", 5 };

#define RESET_WORD "banger.off=reset"

static const struct off *off_find(void)
{
	char line[4096];
	CLEANUP_FD int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	line[n > 0 ? n : 0] = '\0';
	return strstr(line, RESET_WORD) ? &reset : &power;
}

/* PID 1's name in /proc/1/comm, which it cannot help telling. */
static void init_name(char *to, size_t size)
{
	CLEANUP_FD int fd = open("/proc/1/comm", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, to, size - 1);

	to[n > 0 ? n : 0] = '\0';
	to[strcspn(to, "\n")] = '\0';
}

void power_off(void)
{
	const struct off *off = off_find();
	char name[32];

	sync();
	init_name(name, sizeof(name));
	if (strcmp(name, "banger-init") == 0) {
		(void)kill(1, SIGUSR2);
	} else if (strcmp(name, "systemd") == 0) {
		(void)kill(1, SIGRTMIN + off->signal);
	} else if (access(off->program, X_OK) == 0) {
		if (fork() == 0) {
			(void)execl(off->program, off->program + strlen("/sbin/"), (char *)NULL);
			_exit(127);
		}
	} else {
		(void)reboot(RB_AUTOBOOT);
	}
}
