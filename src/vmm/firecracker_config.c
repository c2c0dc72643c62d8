/* firecracker_config.c - the file that Firecracker reads of its machine: one JSON object.
 *
 * Its members are the bodies of the API's requests, under the names of their paths; what it does
 * not know it refuses.  src/vmm/src/resources.rs and the API's specification, of 1.5 and of 1.16.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "vmm/firecracker.h"

#define MIB (UINT64_C(1) << 20)

/* A reset by the keyboard controller is the one that it takes for the guest's end, so it is what
 * reboot and panic do; the rest spares the kernel looking for parts of a keyboard that are not
 * there. */
#define LINUX_WORDS                                                                                \
	"console=ttyS0 quiet loglevel=3 reboot=k panic=-1 pci=off banger.off=reset "               \
	"i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd"

enum {
	GUEST_CID = 3, /* the first that is not reserved; each VM's vsock is its own */
};

/* Collects members and remembers that one could not be made, so that they read as a list.  Takes
 * the value. */
static void put(json_t **object, const char *name, json_t *value)
{
	if (json_object_set_new(*object, name, value) == 0)
		return;
	json_decref(*object);
	*object = NULL;
}

static void append(json_t **array, json_t *value)
{
	if (json_array_append_new(*array, value) == 0)
		return;
	json_decref(*array);
	*array = NULL;
}

static json_t *machine(const struct vmm_machine *m)
{
	return json_pack("{s:I, s:I, s:b}", "vcpu_count", (json_int_t)m->vcpu, "mem_size_mib",
			 (json_int_t)(m->memory_bytes / MIB), "smt", 0);
}

static json_t *boot_source(const struct vmm_machine *m, const char *cmdline)
{
	return json_pack("{s:s, s:s*, s:s}", "kernel_image_path", m->kernel, "initrd_path",
			 m->initrd, "boot_args", cmdline);
}

/* A bucket that holds what may pass in a second, and is filled in that time; NULL: no limit. */
static json_t *bucket(uint64_t a_second)
{
	return a_second == 0 ? NULL
			     : json_pack("{s:I, s:i}", "size", (json_int_t)a_second, "refill_time",
					 FIRECRACKER_FILL_MS);
}

static json_t *limiter(uint64_t bytes, uint64_t ops)
{
	return bytes == 0 && ops == 0
		       ? NULL
		       : json_pack("{s:o*, s:o*}", "bandwidth", bucket(bytes), "ops", bucket(ops));
}

/* Not as its "root device", for then it puts words of its own on the kernel's command line; the
 * order is what counts.  Writeback: a flush of the guest's is one of the host's. */
static json_t *drive(const struct vmm_machine *m, const char *name, const char *path,
		     bool read_only)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:s, s:s, s:o*}", "drive_id", name, "path_on_host",
			 path, "is_root_device", 0, "is_read_only", read_only, "cache_type",
			 read_only ? "Unsafe" : "Writeback", "io_engine", "Sync", "rate_limiter",
			 limiter(m->limits.disk_rate, m->limits.disk_iops));
}

static json_t *drives(const struct vmm_machine *m)
{
	json_t *all = json_array();

	if (m->guest == VMM_GUEST_PROBE)
		return all;
	if (m->base)
		append(&all, drive(m, FIRECRACKER_BASE, m->base, true));
	if (m->disk)
		append(&all, drive(m, FIRECRACKER_DISK, m->disk, false));
	return all;
}

static json_t *interfaces(const struct vmm_machine *m)
{
	char mac[VMM_MAC_BYTES];

	vmm_mac(m->id, mac);
	return json_pack("[{s:s, s:s, s:s, s:o*, s:o*}]", "iface_id", FIRECRACKER_NET,
			 "host_dev_name", m->tap, "guest_mac", mac, "rx_rate_limiter",
			 limiter(m->limits.net_rate, 0), "tx_rate_limiter",
			 limiter(m->limits.net_rate, 0));
}

/* What an operating system has a use for.  The balloon is there for what its driver says: without
 * an interval here that could not be had later either.  Nothing inflates it. */
static void put_devices(json_t **all, const struct vmm_machine *m)
{
	put(all, "entropy", json_object());
	put(all, "balloon",
	    json_pack("{s:i, s:b, s:i}", "amount_mib", 0, "deflate_on_oom", 1,
		      "stats_polling_interval_s", VMM_MEMORY_POLL_S));
	if (m->net == VMM_NET_TAP)
		put(all, "network-interfaces", interfaces(m));
	if (m->vsock)
		put(all, "vsock",
		    json_pack("{s:i, s:s}", "guest_cid", GUEST_CID, "uds_path", m->vsock));
}

static int take_bytes(const char *bytes, size_t len, void *out)
{
	return buf_append(out, bytes, len);
}

int firecracker_config(const struct vmm_machine *m, struct buf *out, struct err *e)
{
	char tsc[32] = "";
	char words[sizeof(LINUX_WORDS) + sizeof(tsc)];
	char cmdline[VMM_CMDLINE_MAX];
	json_t *all = json_object();

	if (m->tsc_khz)
		(void)snprintf(tsc, sizeof(tsc), " tsc_early_khz=%u", m->tsc_khz);
	(void)snprintf(words, sizeof(words), LINUX_WORDS "%s", tsc);
	const int rc = vmm_cmdline(m, words, cmdline, sizeof(cmdline), e);
	if (rc < 0) {
		json_decref(all);
		return rc;
	}
	put(&all, "machine-config", machine(m));
	put(&all, "boot-source", boot_source(m, cmdline));
	put(&all, "drives", drives(m));
	if (m->guest == VMM_GUEST_LINUX)
		put_devices(&all, m);
	const int dumped = all ? json_dump_callback(all, take_bytes, out, JSON_COMPACT) : -1;
	json_decref(all);
	return dumped < 0 ? err_set(e, ERR_BAD_REQUEST,
				    "firecracker: configuration: a path or name is not UTF-8, or "
				    "memory is short")
			  : 0;
}
