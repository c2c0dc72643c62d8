#include "vmm/vmm.h"

#include <stdio.h>
#include <string.h>

static const struct vmm_driver *const drivers[] = {
	&vmm_qemu,
	&vmm_firecracker,
	&vmm_null,
};

const char *vmm_accel_name(enum vmm_accel accel)
{
	return accel == VMM_ACCEL_KVM ? "kvm" : "tcg";
}

void vmm_word(const char *prefix, vm_id id, const char *home, char out[VMM_WORD_BYTES])
{
	char text[VM_ID_CHARS + 1];

	ASSERT(strlen(prefix) <= strlen(VMM_PROCESS_PREFIX));
	vm_id_text(id, text);
	(void)snprintf(out, VMM_WORD_BYTES, "%s%s%s%.12s", prefix, text, home && *home ? "." : "",
		       home ? home : "");
}

void vmm_process_word(vm_id id, const char *home, char out[VMM_WORD_BYTES])
{
	vmm_word(VMM_PROCESS_PREFIX, id, home, out);
}

/* The id of a word that begins at `at`, after so long a prefix, and is of this home, or 0. */
static vm_id word_id(const char *at, size_t len, size_t prefix, const char *home)
{
	const size_t home_len = home ? strlen(home) : 0;
	char text[VM_ID_CHARS + 1] = { 0 };
	vm_id id;

	if (len < prefix + VM_ID_CHARS + (home ? 1 + home_len : 0))
		return 0;
	memcpy(text, at + prefix, VM_ID_CHARS);
	at += prefix + VM_ID_CHARS;
	if (home && (at[0] != '.' || memcmp(at + 1, home, home_len) != 0))
		return 0;
	return vm_id_parse(text, &id) < 0 ? 0 : id;
}

vm_id vmm_word_find(const char *prefix, const char *text, size_t len, const char *home)
{
	const char *const end = text + len;
	const char *at = text;

	while ((at = memmem(at, (size_t)(end - at), prefix, strlen(prefix))) != NULL) {
		const vm_id id = word_id(at, (size_t)(end - at), strlen(prefix), home);

		if (id)
			return id;
		at++;
	}
	return 0;
}

vm_id vmm_process_find(const char *text, size_t len, const char *home)
{
	return vmm_word_find(VMM_PROCESS_PREFIX, text, len, home);
}

const struct vmm_driver *vmm_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	return NULL;
}

int vmm_size_check(const struct vmm_machine *m, struct err *e)
{
	const uint64_t mib = UINT64_C(1) << 20;

	if (m->vcpu == 0)
		return err_set(e, ERR_VM_SIZE, "no vcpu");
	if (m->memory_bytes == 0 || m->memory_bytes % mib != 0)
		return err_set(e, ERR_VM_SIZE, "memory of %lu bytes is not a number of MiB",
			       m->memory_bytes);
	return 0;
}

void vmm_mac(vm_id id, char out[VMM_MAC_BYTES])
{
	(void)snprintf(out, VMM_MAC_BYTES, "02:%02x:%02x:%02x:%02x:%02x",
		       (unsigned int)(id >> 32) & 0xff, (unsigned int)(id >> 24) & 0xff,
		       (unsigned int)(id >> 16) & 0xff, (unsigned int)(id >> 8) & 0xff,
		       (unsigned int)id & 0xff);
}

void vmm_answer_say(struct vmm_answer *a, const char *text)
{
	(void)snprintf(a->text, sizeof(a->text), "%s", text ? text : "");
	for (char *c = a->text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}
