/* ports.c - /proc/net says which sockets there are, /proc/PID/fd whose they are.
 *
 *   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 *   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17312
 * ...
 *
 * An address is written as the machine's words in hex, so in its own byte order; a port is a
 * number.
 */
#include "guest/agent/ports.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/limits.h"

enum {
	LINE_MAX_BYTES = 512,
	PROC_PATH_MAX = 64,
	STATE_CLOSE = 0x07,  /* of udp: not connected to anybody */
	STATE_LISTEN = 0x0a, /* of tcp */
	WORDS_MAX = 4,       /* of an address */
};

static const struct {
	const char *path;
	const char *proto;
	int family;
	unsigned state;
} tables[] = {
	{ "/proc/net/tcp", "tcp", AF_INET, STATE_LISTEN },
	{ "/proc/net/tcp6", "tcp", AF_INET6, STATE_LISTEN },
	{ "/proc/net/udp", "udp", AF_INET, STATE_CLOSE },
	{ "/proc/net/udp6", "udp", AF_INET6, STATE_CLOSE },
};

struct found {
	struct guest_port ports[GUEST_PORTS_MAX];
	uint64_t inodes[GUEST_PORTS_MAX]; /* of the same sockets */
	uint32_t n;
	uint32_t omitted;
	uint32_t unnamed; /* whose process is still looked for */
};

/* ---- sockets ---- */

static bool address_text(const char *hex, int family, char out[ADDRESS_MAX + 1])
{
	const size_t words = family == AF_INET ? 1 : WORDS_MAX;
	uint32_t address[WORDS_MAX];

	for (size_t i = 0; i < words; i++)
		if (sscanf(hex + 8 * i, "%8" SCNx32, &address[i]) != 1)
			return false;
	return inet_ntop(family, address, out, ADDRESS_MAX + 1) != NULL;
}

/* A socket of the wanted state, or false. */
static bool line_read(const char *line, size_t table, struct guest_port *ret_port,
		      uint64_t *ret_inode)
{
	struct guest_port p = { 0 };
	char address[8 * WORDS_MAX + 1];
	unsigned port, state;

	if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*4x %2x %*s %*s %*s %*u %*u %" SCNu64,
		   address, &port, &state, ret_inode) != 4)
		return false;
	if (state != tables[table].state || port == 0 ||
	    !address_text(address, tables[table].family, p.address))
		return false;
	(void)snprintf(p.proto, sizeof(p.proto), "%s", tables[table].proto);
	p.port = port;
	*ret_port = p;
	return true;
}

static void table_read(size_t table, struct found *f)
{
	CLEANUP_FILE FILE *in = fopen(tables[table].path, "re");
	char line[LINE_MAX_BYTES];
	struct guest_port port;
	uint64_t inode;

	while (in && fgets(line, sizeof(line), in)) {
		if (!line_read(line, table, &port, &inode))
			continue;
		if (f->n == GUEST_PORTS_MAX) {
			f->omitted++;
			continue;
		}
		f->ports[f->n] = port;
		f->inodes[f->n++] = inode;
	}
}

/* ---- processes ---- */

static void process_name(int proc, const char *pid, char *out, size_t size)
{
	char path[PROC_PATH_MAX];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%.16s/comm", pid);
	CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* The first process that has the socket: later ones were forked by it, mostly. */
static void socket_found(struct found *f, uint64_t inode, int proc, const char *pid)
{
	for (uint32_t i = 0; i < f->n; i++) {
		struct guest_port *p = &f->ports[i];

		if (f->inodes[i] != inode || p->pid != 0)
			continue;
		p->pid = (uint32_t)strtoul(pid, NULL, 10);
		process_name(proc, pid, p->process, sizeof(p->process));
		f->unnamed--;
	}
}

static void descriptors_read(struct found *f, int proc, const char *pid, uint32_t *links)
{
	char path[PROC_PATH_MAX];
	char link[PROC_PATH_MAX];
	const struct dirent *d;
	uint64_t inode;

	(void)snprintf(path, sizeof(path), "%.16s/fd", pid);
	const int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (f->unnamed > 0 && *links < SOCKET_LINKS_MAX && (d = readdir(dir)) != NULL) {
		const ssize_t n = readlinkat(dirfd(dir), d->d_name, link, sizeof(link) - 1);

		++*links;
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
			socket_found(f, inode, proc, pid);
	}
	(void)closedir(dir);
}

static void processes_read(struct found *f)
{
	DIR *dir = opendir("/proc");
	const struct dirent *d;
	uint32_t links = 0;

	f->unnamed = f->n;
	while (dir && f->unnamed > 0 && links < SOCKET_LINKS_MAX && (d = readdir(dir)) != NULL)
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9')
			descriptors_read(f, dirfd(dir), d->d_name, &links);
	if (dir)
		(void)closedir(dir);
}

/* ---- all of it ---- */

static int compare(const void *a, const void *b)
{
	const struct guest_port *x = a;
	const struct guest_port *y = b;
	const int proto = strcmp(x->proto, y->proto);

	if (proto != 0)
		return proto;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return strcmp(x->address, y->address);
}

int ports_read(struct guest_ports *ret_ports, struct err *e)
{
	CLEANUP_FREE struct found *f = calloc(1, sizeof(*f));
	struct guest_port *ports = f ? calloc(GUEST_PORTS_MAX, sizeof(*ports)) : NULL;

	if (!ports)
		return err_set(e, ERR_HOST_MEMORY, "ports");
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		table_read(i, f);
	processes_read(f);
	memcpy(ports, f->ports, f->n * sizeof(*ports));
	qsort(ports, f->n, sizeof(*ports), compare);
	*ret_ports = (struct guest_ports){ .ports = { .items = ports, .n = f->n },
					   .omitted = f->omitted };
	return 0;
}
