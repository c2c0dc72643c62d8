#include "helper/name.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static_assert(sizeof(NAME_TAP_PREFIX) - 1 + VM_ID_CHARS == HELPER_IFNAME_MAX,
	      "a VM's tap fills the name of an interface");

int name_bridge_check(const char *name, struct err *e)
{
	const size_t len = strlen(name);
	const size_t head = strlen(NAME_BRIDGE);

	if (len > HELPER_IFNAME_MAX)
		return err_set(e, ERR_HELPER_REFUSED,
			       "bridge: \"%s\" has %zu characters, at most %d", name, len,
			       HELPER_IFNAME_MAX);
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		return err_set(e, ERR_HELPER_REFUSED, "bridge: \"%s\" may hold a-z, 0-9 and - only",
			       name);
	if (strncmp(name, NAME_BRIDGE, head) != 0 ||
	    (name[head] != '\0' && (name[head] != '-' || name[head + 1] == '\0')))
		return err_set(e, ERR_HELPER_REFUSED,
			       "bridge: \"%s\" is neither " NAME_BRIDGE " nor " NAME_BRIDGE "-...",
			       name);
	return 0;
}

int name_slot_uid(const struct helper_conf *conf, uint32_t slot, uid_t *ret_uid, struct err *e)
{
	if (slot >= conf->uid_count)
		return err_set(e, ERR_HELPER_REFUSED, "slot: %u has no uid, uid_count is %u", slot,
			       conf->uid_count);
	*ret_uid = conf->uid_first + slot;
	return 0;
}

void name_tap(vm_id vm, uint32_t slot, name_if out)
{
	char id[VM_ID_CHARS + 1];

	ASSERT(slot <= HELPER_SLOT_MAX);
	vm_id_text(vm, id);
	if (vm)
		(void)snprintf(out, sizeof(name_if), NAME_TAP_PREFIX "%s", id);
	else
		(void)snprintf(out, sizeof(name_if), NAME_TAP_PREFIX "s%u", slot);
}

void name_tap_aside(uint32_t index, name_if out)
{
	(void)snprintf(out, sizeof(name_if), NAME_TAP_PREFIX "x%x", index);
}

bool name_is_tap(const char *name)
{
	return strncmp(name, NAME_TAP_PREFIX, strlen(NAME_TAP_PREFIX)) == 0;
}

bool name_is_guest_address(const struct conf_bridge *bridge, uint32_t address)
{
	const uint32_t hosts = UINT32_MAX >> bridge->prefix;
	const uint32_t subnet = ntohl(bridge->address.s_addr) & ~hosts;

	return (address & ~hosts) == subnet && (address & hosts) != 0 && (address & hosts) != hosts;
}
