#include "guest/agent/power.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"

#define POWEROFF_PROGRAM "/sbin/poweroff"

enum {
	SIGRTMIN_POWEROFF = 4, /* systemd(1): SIGRTMIN+4 starts poweroff.target */
};

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
	char name[32];

	sync();
	init_name(name, sizeof(name));
	if (strcmp(name, "banger-init") == 0) {
		(void)kill(1, SIGUSR2);
	} else if (strcmp(name, "systemd") == 0) {
		(void)kill(1, SIGRTMIN + SIGRTMIN_POWEROFF);
	} else if (access(POWEROFF_PROGRAM, X_OK) == 0) {
		if (fork() == 0) {
			(void)execl(POWEROFF_PROGRAM, "poweroff", (char *)NULL);
			_exit(127);
		}
	} else {
		(void)reboot(RB_AUTOBOOT);
	}
}
