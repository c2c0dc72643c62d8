/* fuzz_client.c - the payload of a frame from a client. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_payload(client_methods, METHOD_NMETHODS, data, size);
	return 0;
}
