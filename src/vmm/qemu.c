/* qemu.c - the command line of QEMU's `microvm`: no PCI, no firmware menu, virtio over MMIO.
 *
 * Facts: docs/system/i386/microvm.rst, qemu-options and measurements with QEMU 7.2 and Debian's
 * cloud kernel.
 *   - x-option-roms=off: qboot loads a bzImage and a PVH vmlinux alike by itself.
 *   - acpi=on is how Linux finds its virtio devices and powers off; the probe needs neither.
 *   - pit, pic off: a guest with a local APIC has no use for them.  rtc=on: without it Linux waits
 *     some two seconds (under TCG) for a clock that is not there, and then it is 1970.
 *   - A probe keeps QEMU's default CPU: -cpu host asks KVM for what some nested hosts refuse.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "vmm/qmp.h"
#include "vmm/vmm.h"

#define MIB     (UINT64_C(1) << 20)
#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

/* reboot=t (triple fault) works on any virtual machine; panic=-1 reboots at once, which ends a VM
 * that may not reboot. */
#define LINUX_WORDS "console=ttyS0 quiet loglevel=3 reboot=t panic=-1"

/* TCG keeps translated code, by itself up to a gigabyte of it; when it is full it begins anew. */
#define TCG_CODE_MIB 256
#define TEXT_OF(x)   TEXT_OF_(x)
#define TEXT_OF_(x)  #x

static const char *const accels[] = {
	[VMM_ACCEL_TCG] = "tcg,tb-size=" TEXT_OF(TCG_CODE_MIB),
	[VMM_ACCEL_KVM] = "kvm",
};

/* `max`: all that TCG can do; images built for x86-64-v2 and later need it. */
static const char *const cpus[] = {
	[VMM_ACCEL_TCG] = "max",
	[VMM_ACCEL_KVM] = "host",
};

static const char *const machines[] = {
	[VMM_GUEST_LINUX] = "x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on,acpi=on",
	[VMM_GUEST_PROBE] = "x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,acpi=off,"
			    "auto-kernel-cmdline=off",
};

static const char *const chardevs[] = {
	[VMM_SOCKET_CONTROL] = "control",
	[VMM_SOCKET_AGENT] = "agent",
	[VMM_SOCKET_CONSOLE] = "console",
};
static_assert(ARRAY_LEN(chardevs) == VMM_NSOCKETS, "each socket has its name");

/* Collects the vector and remembers the first failure, so that the options read as a list. */
struct args {
	struct strv *argv;
	int rc;
};

static void word(struct args *a, const char *text)
{
	if (a->rc == 0)
		a->rc = strv_add(a->argv, text);
}

static void option(struct args *a, const char *name, const char *value)
{
	word(a, name);
	word(a, value);
}

static PRINTF_LIKE(3, 4) void optionf(struct args *a, const char *name, const char *fmt, ...)
{
	CLEANUP_FREE char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	const int n = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (n < 0) {
		value = NULL; /* undefined after a failure */
		a->rc = -ENOMEM;
		return;
	}
	option(a, name, value);
}

/* A comma ends a value unless it is doubled.  Owned by the caller; NULL sets a->rc. */
static char *escape(struct args *a, const char *value)
{
	char *escaped = malloc(2 * strlen(value) + 1);
	char *to = escaped;

	if (!escaped) {
		a->rc = -ENOMEM;
		return NULL;
	}
	for (const char *c = value; *c; c++) {
		if (*c == ',')
			*to++ = ',';
		*to++ = *c;
	}
	*to = '\0';
	return escaped;
}

/* ---- groups of options ---- */

static void add_machine(struct args *a, const struct vmm_machine *m)
{
	char process[VMM_WORD_BYTES];
	CLEANUP_FREE char *name = escape(a, m->name);

	vmm_process_word(m->id, m->home, process);
	word(a, m->binary);
	if (name)
		optionf(a, "-name", "guest=%s,%s", name, process);
	optionf(a, "-M", "microvm,%s", machines[m->guest]);
	option(a, "-accel", accels[m->accel]);
	if (m->guest == VMM_GUEST_LINUX)
		option(a, "-cpu", cpus[m->accel]);
	optionf(a, "-smp", "%u", m->vcpu);
	optionf(a, "-m", "%luM", m->memory_bytes / MIB);
	word(a, "-nodefaults");
	word(a, "-no-user-config");
	word(a, "-no-reboot");
	option(a, "-display", "none");
	if (m->sandbox)
		option(a, "-sandbox", SANDBOX);
}

static void add_kernel(struct args *a, const struct vmm_machine *m, const char *cmdline)
{
	option(a, "-kernel", m->kernel);
	if (m->initrd)
		option(a, "-initrd", m->initrd);
	if (cmdline[0])
		option(a, "-append", cmdline);
}

/* wait=on: QEMU runs the guest only when our connection, queued long ago, is accepted.  To the
 * console of an operating system somebody may connect, later; its log is written without. */
static void add_socket(struct args *a, const struct vmm_machine *m, enum vmm_socket which,
		       const char *more)
{
	const bool wait = which != VMM_SOCKET_CONSOLE || m->guest == VMM_GUEST_PROBE;

	optionf(a, "-chardev", "socket,id=%s,fd=%d,server=on,wait=%s%s", chardevs[which],
		m->socket_fd[which], wait ? "on" : "off", more);
}

static void add_control(struct args *a, const struct vmm_machine *m)
{
	if (m->socket_fd[VMM_SOCKET_CONTROL] < 0)
		return;
	add_socket(a, m, VMM_SOCKET_CONTROL, "");
	option(a, "-mon", "chardev=control,mode=control");
}

static void add_console(struct args *a, const struct vmm_machine *m)
{
	CLEANUP_FREE char *path = m->console_log ? escape(a, m->console_log) : NULL;
	CLEANUP_FREE char *log = NULL;

	if (path && asprintf(&log, ",logfile=%s,logappend=on", path) < 0) {
		log = NULL;
		a->rc = -ENOMEM;
	}
	if (m->socket_fd[VMM_SOCKET_CONSOLE] >= 0)
		add_socket(a, m, VMM_SOCKET_CONSOLE, log ? log : "");
	else
		optionf(a, "-chardev", "null,id=console%s", log ? log : "");
	option(a, "-serial", "chardev:console");
}

static void add_agent(struct args *a, const struct vmm_machine *m)
{
	if (m->socket_fd[VMM_SOCKET_AGENT] < 0)
		return;
	add_socket(a, m, VMM_SOCKET_AGENT, "");
	option(a, "-device", "virtio-serial-device");
	option(a, "-device", "virtserialport,chardev=agent,name=" VMM_AGENT_PORT);
}

/* A filter before the disk; 0 is no limit there either, and may become one. */
static void add_limits(struct args *a, const struct vmm_machine *m)
{
	optionf(a, "-object", "throttle-group,id=" QEMU_LIMITS ",x-bps-total=%lu,x-iops-total=%u",
		m->limits.disk_rate, m->limits.disk_iops);
	option(a, "-blockdev",
	       "driver=throttle,node-name=root,throttle-group=" QEMU_LIMITS ",file=unlimited");
}

static void add_disk(struct args *a, const struct vmm_machine *m)
{
	CLEANUP_FREE char *path = m->disk ? escape(a, m->disk) : NULL;

	if (!path)
		return;
	optionf(a, "-blockdev",
		"driver=%s,node-name=unlimited,discard=unmap,file.driver=%s,file.filename=%s",
		m->disk_format, m->disk_device ? "host_device" : "file", path);
	add_limits(a, m);
	option(a, "-device", "virtio-blk-device,drive=root");
}

/* For what its driver says: nothing inflates it. */
static void add_balloon(struct args *a)
{
	optionf(a, "-device",
		"virtio-balloon-device,id=" QEMU_BALLOON
		",deflate-on-oom=on,guest-stats-polling-interval=%d",
		VMM_MEMORY_POLL_S);
}

/* Ports are published on the loopback address only. */
static void add_user_net(struct args *a, const struct vmm_machine *m)
{
	char forwards[VMM_PUBLISH_MAX * sizeof(",hostfwd=tcp:127.0.0.1:65535-:65535")];
	size_t used = 0;

	forwards[0] = '\0';
	for (uint32_t i = 0; i < m->npublish; i++)
		used += (size_t)snprintf(forwards + used, sizeof(forwards) - used,
					 ",hostfwd=tcp:127.0.0.1:%u-:%u", m->publish[i].host,
					 m->publish[i].guest);
	ASSERT(used < sizeof(forwards));
	optionf(a, "-netdev", "user,id=net%s", forwards);
}

/* The interface is there and the VMM's uid may open it, so no script is to be run. */
static void add_net(struct args *a, const struct vmm_machine *m)
{
	char mac[VMM_MAC_BYTES];

	if (m->net == VMM_NET_NONE)
		return;
	if (m->net == VMM_NET_USER)
		add_user_net(a, m);
	else if (m->net == VMM_NET_SOCKET)
		optionf(a, "-netdev", "stream,id=net,server=on,addr.type=fd,addr.str=%d",
			m->net_fd);
	else
		optionf(a, "-netdev", "tap,id=net,ifname=%s,script=no,downscript=no", m->tap);
	vmm_mac(m->id, mac);
	optionf(a, "-device", "virtio-net-device,netdev=net,mac=%s", mac);
}

/* ---- the driver ---- */

static int check(const struct vmm_machine *m, struct err *e)
{
	if (m->npublish > VMM_PUBLISH_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%u ports to publish; at most %d", m->npublish,
			       VMM_PUBLISH_MAX);
	return vmm_size_check(m, e);
}

/* Measured with Debian's QEMU 7.2 and kernel: docs/adr/0018-limits-by-cgroup.md. */
static uint64_t overhead(const struct vmm_machine *m)
{
	const bool tcg = m->accel == VMM_ACCEL_TCG;
	const uint64_t own = 128 * MIB + m->vcpu * (tcg ? 16 : 8) * MIB;

	return own + (tcg ? TCG_CODE_MIB * MIB + m->memory_bytes / 16 : m->memory_bytes / 64);
}

static int qemu_argv(const struct vmm_machine *m, struct strv *argv, struct err *e)
{
	char cmdline[VMM_CMDLINE_MAX];
	struct args a = { .argv = argv };
	int rc = check(m, e);

	if (rc < 0)
		return rc;
	rc = vmm_cmdline(m, LINUX_WORDS, cmdline, sizeof(cmdline), e);
	if (rc < 0)
		return rc;
	add_machine(&a, m);
	add_kernel(&a, m, cmdline);
	add_control(&a, m);
	add_console(&a, m);
	if (m->guest == VMM_GUEST_LINUX) {
		option(&a, "-device", "virtio-rng-device");
		add_balloon(&a);
		add_agent(&a, m);
		add_disk(&a, m);
		add_net(&a, m);
	}
	return a.rc < 0 ? err_num(e, ERR_HOST_MEMORY, a.rc, "qemu: command line") : 0;
}

/* net/slirp.c of QEMU says no more, in particular not which errno: that another process has the
 * port is what there is in practice. */
static enum err_code explain(const char *last_words)
{
	return strstr(last_words, "Could not set up host forwarding rule") ? ERR_PORT_BUSY
									   : ERR_VMM_EXIT;
}

const struct vmm_driver vmm_qemu = {
	.name = "qemu",
	.program = "qemu-system-x86_64",
	.has_control = true,
	.channels = VMM_CHANNELS_INHERITED,
	.disk_format = "qcow2",
	.overhead = overhead,
	.argv = qemu_argv,
	.greet = qmp_greet,
	.call = qmp_call,
	.limit = qmp_limit,
	.parse = qmp_parse,
	.explain = explain,
};
