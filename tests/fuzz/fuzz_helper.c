/* fuzz_helper.c - the payload of a frame to the root helper, decoded and validated: whatever passes
 * names nothing that the configuration does not.
 */
#include <arpa/inet.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "helper/op.h"
#include "proto/frame.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

enum {
	ARGS_MAX = 64 * 1024,
	UID_FIRST = 200000,
	UID_COUNT = 4096,
};

static struct helper_conf conf = {
	.owner = 1000,
	.uid_first = UID_FIRST,
	.uid_count = UID_COUNT,
	.bridges = { { .name = "br-fc", .prefix = 16 }, { .name = "br-fc-two", .prefix = 24 } },
	.nbridges = 2,
	.vmms = { { .name = "qemu", .binary = "/usr/bin/qemu-system-x86_64" } },
	.nvmms = 1,
};

static bool is_bridge(const char *name)
{
	return helper_conf_bridge(&conf, name) != NULL;
}

static bool is_tap(const char *name)
{
	const size_t len = strlen(name);

	return name_is_tap(name) && len <= HELPER_IFNAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool is_slot_uid(uid_t uid)
{
	return uid >= UID_FIRST && uid < UID_FIRST + UID_COUNT;
}

static bool is_loopback(const struct resolver_target *t)
{
	if (t->family == AF_INET)
		return ntohl(t->address.v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return t->family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&t->address.v6);
}

static bool is_guest(const struct nat_target *t)
{
	const struct conf_bridge *const b = helper_conf_bridge(&conf, t->bridge);

	return b && t->address.s_addr != b->address.s_addr &&
	       name_is_guest_address(b, ntohl(t->address.s_addr));
}

static bool is_handle(const struct handle *h)
{
	char id[VM_ID_CHARS + 1];
	char device[HELPER_HANDLE_MAX + 1];

	vm_id_text(h->vm, id);
	(void)snprintf(device, sizeof(device), "/dev/mapper/fc-rootfs-%s", id);
	return h->vm != 0 && strcmp(h->device, device) == 0 &&
	       strcmp(h->name, device + strlen("/dev/mapper/")) == 0 &&
	       strcmp(strrchr(h->uuid, '-') + 1, id) == 0;
}

static bool is_loop(uint32_t number)
{
	return number == LOOP_NONE || number <= HANDLE_LOOP_MAX;
}

/* Names one after the other, none of which leads up or elsewhere. */
static bool is_below(const char *path, const char *folder)
{
	char framed[TARGET_PATH_MAX + 3];

	(void)snprintf(framed, sizeof(framed), "/%s/", path);
	return strncmp(path, folder, strlen(folder)) == 0 && !strstr(framed, "//") &&
	       !strstr(framed, "/./") && !strstr(framed, "/../");
}

static bool is_disk(const struct disk_target *t)
{
	if (t->handle.vm ? !is_handle(&t->handle) : !is_below(t->path, ""))
		return false;
	if (t->nfiles == 0 || t->nfiles > HELPER_EXT4_FILES_MAX)
		return false;
	for (uint32_t i = 0; i < t->nfiles; i++)
		if (t->files[i].path[0] != '/' || !is_below(t->files[i].path + 1, ""))
			return false;
	return true;
}

static bool is_jail(const struct jail *j)
{
	return strlen(j->id) == VM_ID_CHARS && !strchr(j->id, '/') && j->id[0] != '.' &&
	       is_slot_uid(j->uid);
}

/* Of a socket in run/. */
static bool is_name(const char *name)
{
	return !strchr(name, '/') && name[0] != '.';
}

static bool is_beneath(const char *path)
{
	return path[0] != '/' && strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0 &&
	       !strstr(path, "/../") &&
	       (strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0);
}

static bool is_launch(const struct vmm_target *t)
{
	for (int i = 0; i < JAIL_NFILES; i++)
		if (t->files[i] && !is_beneath(t->files[i]))
			return false;
	if (t->listener && (!t->run || !is_name(t->listener)))
		return false;
	if ((t->snapshot && t->files[JAIL_DISK]) ||
	    (t->stdio && t->heard == (t->files[JAIL_CONSOLE] != NULL)))
		return false;
	return is_jail(&t->jail) && t->vmm < conf.nvmms &&
	       (t->args.len == 0 || t->args.data[t->args.len - 1] == '\0');
}

/* What a target of the method must be, whatever the bytes were. */
static bool is_within_bounds(enum helper_method method, const struct op_target *t)
{
	switch (method) {
	case HELPER_ENSURE_BRIDGE:
	case HELPER_REMOVE_BRIDGE:
		return is_bridge(t->bridge.bridge->name);
	case HELPER_CREATE_TAP:
	case HELPER_DELETE_TAP:
		return is_bridge(t->tap.bridge) && is_tap(t->tap.name) && is_slot_uid(t->tap.uid);
	case HELPER_ENSURE_NAT:
	case HELPER_REMOVE_NAT:
		return is_tap(t->nat.tap) && is_guest(&t->nat);
	case HELPER_PREPARE_TAPS:
	case HELPER_RELEASE_TAPS:
		return is_bridge(t->taps.bridge) && t->taps.count <= HELPER_SLOTS_MAX &&
		       is_slot_uid(t->taps.uid) && is_slot_uid(t->taps.uid + t->taps.count - 1);
	case HELPER_SYNC_RESOLVER:
		return is_bridge(t->resolver.bridge) && is_loopback(&t->resolver);
	case HELPER_CLEAR_RESOLVER:
		return is_bridge(t->resolver.bridge);
	case HELPER_CREATE_SNAPSHOT:
		return is_handle(&t->snapshot.handle) && is_below(t->snapshot.base, "images/") &&
		       is_below(t->snapshot.cow, "vms/");
	case HELPER_CLEANUP_SNAPSHOT:
		return (t->cleanup.handle.vm == 0 || is_handle(&t->cleanup.handle)) &&
		       is_loop(t->cleanup.base_loop) && is_loop(t->cleanup.cow_loop);
	case HELPER_REMOVE_SNAPSHOT:
		return is_handle(&t->cleanup.handle) && t->cleanup.base_loop == LOOP_NONE &&
		       t->cleanup.cow_loop == LOOP_NONE;
	case HELPER_FSCK_SNAPSHOT:
		return is_handle(&t->disk.handle);
	case HELPER_READ_EXT4:
	case HELPER_WRITE_EXT4:
		return is_disk(&t->disk);
	case HELPER_PREPARE_JAILS:
	case HELPER_RELEASE_JAILS:
		return t->jails.count >= 1 && t->jails.count <= HELPER_SLOTS_MAX &&
		       is_slot_uid(t->jails.uid) && is_slot_uid(t->jails.uid + t->jails.count - 1);
	case HELPER_LAUNCH_VMM:
		return is_launch(&t->vmm);
	case HELPER_KILL_VMM:
	case HELPER_CLEANUP_JAIL:
		return is_jail(&t->jail);
	case HELPER_FIND_VMM:
		return is_jail(&t->find.jail) && (!t->find.listener || is_name(t->find.listener));
	case HELPER_SIGNAL_VMM:
		return is_jail(&t->signal.jail) && t->signal.signal > 0 && t->signal.signal <= 19;
	case HELPER_TRIM_LOGS:
		return is_jail(&t->trim.jail);
	case HELPER_ENSURE_SOCKET:
		return is_jail(&t->socket.jail) && is_name(t->socket.name);
	case HELPER_REPORT_BLOCK:
	case HELPER_REPORT_JAIL:
	case HELPER_REPORT_NET:
	case HELPER_NMETHODS:
		break;
	}
	return true;
}

static void validate(enum helper_method method, const struct wire *w)
{
	static alignas(max_align_t) uint8_t args[ARGS_MAX];
	const struct schema *const s = helper_methods[method].args;
	struct op_target target = { .vm = 0 };
	struct err e = { 0 };

	ASSERT(s->size <= sizeof(args));
	if (schema_decode(s, w->body.data, w->body.len, args, NULL) < 0)
		return;
	if (helper_ops[method].validate(&conf, args, &target, &e) < 0)
		ASSERT(e.code == ERR_HELPER_REFUSED && e.text[0] != '\0');
	else
		ASSERT(is_within_bounds(method, &target));
	schema_fini(s, args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum helper_method method;
	struct wire w;

	if (conf.bridges[0].address.s_addr == 0) {
		conf.bridges[0].address.s_addr = htonl(0x0a610001);
		conf.bridges[1].address.s_addr = htonl(0x0a620001);
	}
	fuzz_payload(helper_methods, HELPER_NMETHODS, data, size);
	if (size > HELPER_FRAME_MAX || frame_check(data, size, NULL) < 0 ||
	    wire_decode(data, size, &w, NULL) < 0)
		return 0;
	if (w.type == WIRE_REQUEST && helper_method_find(w.name, &method) == 0)
		validate(method, &w);
	return 0;
}
