/* id.h - the two kinds of identity.
 *
 * An op_id is 128 bits: 48 bits of Unix milliseconds, then 80 random bits, so that ids sort by time
 * (the layout of a ULID).  Printed as 26 characters of Crockford's base32, upper case; read in
 * either case.
 *
 * A vm_id is 60 random bits, printed as 12 characters of the same alphabet, lower case.  Names of
 * host resources derive from it ("bg-" + 12 characters fills IFNAMSIZ exactly).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	OP_ID_BYTES = 16,
	OP_ID_CHARS = 26,
	VM_ID_CHARS = 12,
};

struct op_id {
	uint8_t b[OP_ID_BYTES]; /* big-endian, so memcmp() orders by time */
};

typedef uint64_t vm_id; /* 1 .. 2^60-1; 0 is "none" */

#define VM_ID_MAX ((UINT64_C(1) << 60) - 1)

/* From the wall clock in ms and 10 random bytes. */
struct op_id op_id_make(uint64_t wall_ms, const uint8_t random[10]);
void op_id_text(const struct op_id *id, char out[OP_ID_CHARS + 1]);
int op_id_parse(const char *text, struct op_id *ret_id); /* -EINVAL */
bool op_id_equal(const struct op_id *a, const struct op_id *b);
bool op_id_is_zero(const struct op_id *id);
uint64_t op_id_wall_ms(const struct op_id *id);

void vm_id_text(vm_id id, char out[VM_ID_CHARS + 1]);
int vm_id_parse(const char *text, vm_id *ret_id); /* the full 12 characters; -EINVAL */
