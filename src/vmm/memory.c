#include "vmm/memory.h"

/* More than that nobody has: of QEMU it means that the guest has not said. */
#define BEYOND 9.0e18

void memory_take(struct vmm_memory *m, const json_t *object, const char *const names[VMM_NMEMORY])
{
	for (size_t i = 0; i < VMM_NMEMORY; i++) {
		const json_t *value = json_object_get(object, names[i]);
		const double number = json_number_value(value);

		if (!json_is_number(value) || number < 0 || number > BEYOND)
			continue;
		m->known |= 1U << i;
		m->parts[i] = (uint64_t)number;
	}
}
