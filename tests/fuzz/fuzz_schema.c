/* fuzz_schema.c - unchecked bytes, as from a damaged store: the first one chooses the schema. */
#include "proto/guest.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t all = METHOD_NMETHODS + GUEST_METHOD_NMETHODS;

	if (size == 0)
		return 0;
	const size_t row = data[0] / 2 % all;
	const struct client_method_row *const m = row < METHOD_NMETHODS
							  ? &client_methods[row]
							  : &guest_methods[row - METHOD_NMETHODS];
	fuzz_schema(data[0] % 2 ? m->args : m->result, data + 1, size - 1);
	return 0;
}
