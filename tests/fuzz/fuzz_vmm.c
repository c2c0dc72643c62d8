/* fuzz_vmm.c - what VMMs say on their control channels: any bytes, cut anywhere. */
#include <string.h>

#include "base/assert.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/vmm.h"

/* Answers are taken off the front until none is whole; each is text that a terminal may show. */
static void parse_all(const struct vmm_driver *d, const uint8_t *data, size_t size)
{
	while (size > 0) {
		struct vmm_answer a = { .event = VMM_EVENT_NONE };
		struct err e = { 0 };
		const int rc = d->parse(data, size, &a, &e);

		if (rc <= 0) {
			ASSERT(rc == 0 || (e.code == ERR_VMM_PROTOCOL && e.text[0] != '\0'));
			ASSERT(rc < 0 || size < VMM_ANSWER_MAX);
			return;
		}
		ASSERT((size_t)rc <= size);
		ASSERT(memchr(a.text, '\0', sizeof(a.text)));
		for (const char *c = a.text; *c; c++)
			ASSERT(*c >= ' ' && *c <= '~');
		data += rc;
		size -= (size_t)rc;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse_all(&vmm_qemu, data, size);
	parse_all(&vmm_firecracker, data, size);
	return 0;
}
