#include "helper/block/handle.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(HANDLE_NODE_DIR HANDLE_NAME_PREFIX) - 1 + VM_ID_CHARS <= HELPER_HANDLE_MAX,
	      "the longest handle fits");

void handle_of(vm_id vm, struct handle *ret)
{
	char id[VM_ID_CHARS + 1];

	vm_id_text(vm, id);
	*ret = (struct handle){ .vm = vm };
	(void)snprintf(ret->name, sizeof(ret->name), HANDLE_NAME_PREFIX "%s", id);
	(void)snprintf(ret->uuid, sizeof(ret->uuid), HANDLE_UUID_PREFIX "%s", id);
	(void)snprintf(ret->device, sizeof(ret->device), HANDLE_NODE_DIR HANDLE_NAME_PREFIX "%s",
		       id);
}

/* `prefix` and an id as it is printed: an id has other spellings, a handle has none. */
static int parse(const char *field, const char *text, const char *prefix, struct handle *ret,
		 struct err *e)
{
	const size_t head = strlen(prefix);
	char again[VM_ID_CHARS + 1] = "";
	vm_id vm = 0;

	if (strncmp(text, prefix, head) == 0 && vm_id_parse(text + head, &vm) == 0 && vm != 0)
		vm_id_text(vm, again);
	if (again[0] == '\0' || strcmp(text + head, again) != 0)
		return err_set(e, ERR_HELPER_REFUSED, "%s: \"%s\" is not %s and a VM's id", field,
			       text, prefix);
	handle_of(vm, ret);
	return 0;
}

int handle_parse_name(const char *field, const char *text, struct handle *ret, struct err *e)
{
	return parse(field, text, HANDLE_NAME_PREFIX, ret, e);
}

int handle_parse_device(const char *field, const char *text, struct handle *ret, struct err *e)
{
	return parse(field, text, HANDLE_NODE_DIR HANDLE_NAME_PREFIX, ret, e);
}

int handle_parse_loop(const char *field, const char *text, uint32_t *ret_number, struct err *e)
{
	const size_t head = strlen(HANDLE_LOOP_PREFIX);
	char again[HELPER_HANDLE_MAX + 1] = "";
	uint32_t n = 0;

	if (strncmp(text, HANDLE_LOOP_PREFIX, head) == 0)
		for (const char *at = text + head; *at >= '0' && *at <= '9' && n <= HANDLE_LOOP_MAX;
		     at++)
			n = n * 10 + (uint32_t)(*at - '0');
	handle_loop(n, again);
	if (n > HANDLE_LOOP_MAX || strcmp(text, again) != 0)
		return err_set(e, ERR_HELPER_REFUSED,
			       "%s: \"%s\" is not " HANDLE_LOOP_PREFIX " and a number", field,
			       text);
	*ret_number = n;
	return 0;
}

void handle_loop(uint32_t number, char out[HELPER_HANDLE_MAX + 1])
{
	(void)snprintf(out, HELPER_HANDLE_MAX + 1, HANDLE_LOOP_PREFIX "%u", number);
}
