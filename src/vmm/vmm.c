#include "vmm/vmm.h"

#include <string.h>

static const struct vmm_driver *const drivers[] = {
	&vmm_qemu,
	&vmm_null,
};

const struct vmm_driver *vmm_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	return NULL;
}
