/* fuzz.h - what the targets share: each property is an ASSERT, so that a broken one is a crash. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/client.h"

/* libFuzzer's entry; the same function replays a corpus under gcc. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A payload of a conversation: what frame_check() accepts, msgpack-c unpacks wholly; what decodes
 * encodes, and decodes again to the same. */
void fuzz_payload(const struct client_method_row *methods, size_t nmethods, const uint8_t *data,
		  size_t size);

/* The second property alone, for bytes that nobody has checked. */
void fuzz_schema(const struct schema *s, const uint8_t *data, size_t size);
