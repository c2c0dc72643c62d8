#include "guest/agent/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/limits.h"
#include "guest/common/uevent.h"

/* /dev/virtio-ports/NAME is udev's work; sysfs knows the names without it. */
#define PORTS_DIR "/sys/class/virtio-ports"

struct search {
	const char *name;
	char device[64]; /* found: /dev/vport0p1 */
};

static bool port_is(const char *entry, const char *name)
{
	char path[sizeof(PORTS_DIR) + sizeof("/name") + NAME_MAX];
	char text[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), PORTS_DIR "/%s/name", entry);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, name) == 0;
}

static bool port_found(void *arg)
{
	struct search *s = arg;
	DIR *dir = opendir(PORTS_DIR);
	const struct dirent *d;

	while (dir && s->device[0] == '\0' && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' &&
		    strlen(d->d_name) < sizeof(s->device) - sizeof("/dev/") &&
		    port_is(d->d_name, s->name))
			(void)snprintf(s->device, sizeof(s->device), "/dev/%.50s", d->d_name);
	if (dir)
		closedir(dir);
	return s->device[0] != '\0';
}

int port_open(const char *name, struct err *e)
{
	struct search s = { .name = name };
	CLEANUP_FD int uevent = uevent_open(e);
	int rc;

	if (uevent < 0)
		return uevent;
	rc = uevent_wait(uevent, port_found, &s, name, PORT_WAIT_MS, e);
	if (rc < 0)
		return rc;

	const int fd = open(s.device, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? err_sys(e, ERR_GUEST_BOOT, "open %s", s.device) : fd;
}
