#include "guest/agent/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/limits.h"
#include "guest/agent/vsock.h"
#include "guest/common/uevent.h"

/* /dev/virtio-ports/NAME is udev's work; sysfs knows the names without it. */
#define PORTS_DIR "/sys/class/virtio-ports"

/* Bound devices of the console's driver: there before their ports, which the host announces. */
#define CONSOLES_DIR "/sys/bus/virtio/drivers/virtio_console"

struct search {
	const char *name;
	char device[64]; /* found: /dev/vport0p1 */
	bool vsock;      /* found */
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

static void port_search(struct search *s)
{
	DIR *dir = opendir(PORTS_DIR);
	const struct dirent *d;

	while (dir && s->device[0] == '\0' && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' &&
		    strlen(d->d_name) < sizeof(s->device) - sizeof("/dev/") &&
		    port_is(d->d_name, s->name))
			(void)snprintf(s->device, sizeof(s->device), "/dev/%.50s", d->d_name);
	if (dir)
		closedir(dir);
}

/* Devices are links called virtio0 and so on, beside files that every driver has. */
static bool has_console(void)
{
	DIR *dir = opendir(CONSOLES_DIR);
	const struct dirent *d;
	bool has = false;

	while (dir && !has && (d = readdir(dir)) != NULL)
		has = strncmp(d->d_name, "virtio", strlen("virtio")) == 0;
	if (dir)
		closedir(dir);
	return has;
}

static bool way_found(void *arg)
{
	struct search *s = arg;

	port_search(s);
	s->vsock = s->device[0] == '\0' && !has_console() && vsock_present();
	return s->vsock || s->device[0] != '\0';
}

int port_wait(const char *name, int *ret_fd, struct err *e)
{
	struct search s = { .name = name };
	CLEANUP_FD int uevent = uevent_open(e);
	int rc;

	if (uevent < 0)
		return uevent;
	rc = uevent_wait(uevent, way_found, &s, "a way to the daemon", PORT_WAIT_MS, e);
	if (rc < 0)
		return rc;
	if (s.vsock)
		return PORT_VSOCK;

	const int fd = open(s.device, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, ERR_GUEST_BOOT, "open %s", s.device);
	*ret_fd = fd;
	return PORT_SERIAL;
}
