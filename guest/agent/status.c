#include "guest/agent/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BOOT_ID_PATH   "/proc/sys/kernel/random/boot_id"
#define OS_RELEASE     "/etc/os-release"
#define PRETTY_NAME    "PRETTY_NAME="
#define PRINTABLE_LAST '~'

/* The image's words go to the daemon as printable ASCII or not at all. */
static void copy_printable(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from != '\0' && *from != '\n' && n + 1 < size; from++)
		if (*from >= ' ' && *from <= PRINTABLE_LAST && *from != '"')
			to[n++] = *from;
	to[n] = '\0';
}

static void boot_id_read(char *to, size_t size)
{
	char text[64];
	CLEANUP_FD int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return;
	text[n] = '\0';
	copy_printable(to, size, text);
}

/* Once: this is how the daemon asks whether we live, and a disk that is busy with its writeback
 * lets a reader wait for minutes. */
static const char *os_name(void)
{
	static char name[sizeof(((struct guest_status *)0)->os)];
	static bool known;
	char line[256];

	if (known)
		return name;
	known = true;
	CLEANUP_FILE FILE *f = fopen(OS_RELEASE, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, PRETTY_NAME, strlen(PRETTY_NAME)) == 0) {
			copy_printable(name, sizeof(name), line + strlen(PRETTY_NAME));
			break;
		}
	}
	return name;
}

void status_read(struct guest_status *ret_status)
{
	struct guest_status s = { 0 };
	struct utsname u;
	struct timespec up;

	if (uname(&u) == 0) {
		copy_printable(s.hostname, sizeof(s.hostname), u.nodename);
		copy_printable(s.kernel, sizeof(s.kernel), u.release);
	}
	boot_id_read(s.boot_id, sizeof(s.boot_id));
	(void)snprintf(s.os, sizeof(s.os), "%s", os_name());
	(void)snprintf(s.agent, sizeof(s.agent), "%s", BANGER_VERSION);
	if (clock_gettime(CLOCK_BOOTTIME, &up) == 0)
		s.uptime_ms = (uint64_t)up.tv_sec * 1000 + (uint64_t)up.tv_nsec / 1000000;
	*ret_status = s;
}
