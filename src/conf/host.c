/* host.c - what settings are where nobody says them: built in, or what fits this host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "conf/conf.h"
#include "proto/helper.h"

enum {
	CPUS_MAX = 4096,
	STARTS_PER_CPU = 2, /* the knee was measured there */
	CPUS_PER_VCPU = 4,  /* of a new VM, which gets from 1 to VCPU_SHARE_MAX */
	VCPU_SHARE_MAX = 4,
	MEMORY_PARTS = 8, /* of the host's, of which a new VM gets one */
};
#define MIB              (UINT64_C(1) << 20)
#define GIB              (UINT64_C(1) << 30)
#define MEMORY_SHARE_MIN (256 * MIB)
#define MEMORY_SHARE_MAX (8 * GIB)

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static void built_in(struct conf *c, const char *libexec)
{
	c->vcpu = 2;
	c->memory_bytes = 2 * GIB;
	c->disk_bytes = 8 * GIB;
	c->starts_max = 4;
	c->vms_max = VMS_LIMIT;
	c->ops_kept = 20000;
	c->boot_ms = 120000;
	c->stop_ms = 10000;
	(void)snprintf(c->libexec_dir, sizeof(c->libexec_dir), "%s", libexec);
	(void)snprintf(c->helper_socket, sizeof(c->helper_socket), "%s", HELPER_SOCKET);
	(void)snprintf(c->host_loopback, sizeof(c->host_loopback), "no");
	(void)snprintf(c->log_level, sizeof(c->log_level), "info");
}

static void from_host(struct conf *c, enum conf_key key)
{
	c->origins[key].source = CONF_HOST;
}

static void host_cpus(struct conf *c)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < 1)
		return;
	c->cpus = (uint32_t)clamp((uint64_t)cpus, 1, CPUS_MAX);
	c->vcpu = (uint32_t)clamp(c->cpus / CPUS_PER_VCPU, 1, VCPU_SHARE_MAX);
	c->starts_max = c->cpus * STARTS_PER_CPU;
	from_host(c, CONF_VCPU);
	from_host(c, CONF_STARTS_MAX);
}

static void host_memory(struct conf *c)
{
	struct sysinfo si;

	if (sysinfo(&si) < 0 || si.totalram == 0)
		return;
	c->host_memory_bytes = (uint64_t)si.totalram * si.mem_unit;
	c->memory_bytes = clamp(c->host_memory_bytes / MEMORY_PARTS / MIB * MIB, MEMORY_SHARE_MIN,
				MEMORY_SHARE_MAX);
	from_host(c, CONF_MEMORY);
}

/* The first of a list of directories ("a:b:c") in which it may be executed; false: in none. */
static bool find_in(const char *dirs, const char *name, char out[CONF_PATH_MAX])
{
	while (*dirs) {
		const int len = (int)strcspn(dirs, ":");

		if (dirs[0] == '/' && len < CONF_DIR_MAX) {
			(void)snprintf(out, CONF_PATH_MAX, "%.*s/%s", len, dirs, name);
			if (access(out, X_OK) == 0)
				return true;
		}
		dirs += len;
		dirs += *dirs == ':';
	}
	out[0] = '\0';
	return false;
}

static void host_programs(struct conf *c)
{
	static const char places[] = "/usr/local/bin:/usr/bin:/bin";
	const char *path = getenv("PATH");

	if (find_in(places, "qemu-system-x86_64", c->qemu))
		from_host(c, CONF_QEMU);
	if (find_in(places, "passt", c->passt))
		from_host(c, CONF_PASST);
	if (find_in(path ? path : "", "firecracker", c->firecracker) ||
	    find_in(places, "firecracker", c->firecracker))
		from_host(c, CONF_FIRECRACKER);
}

void conf_init(struct conf *c, const char *libexec)
{
	*c = (struct conf){ .cpus = 1 };
	built_in(c, libexec);
	host_cpus(c);
	host_memory(c);
	host_programs(c);
}
