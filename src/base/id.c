#include "base/id.h"

#include <errno.h>
#include <string.h>

static const char base32_upper[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char base32_lower[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* The digit's value, or -1.  Crockford's letters to be read kindly (I, L, O) are refused on
 * purpose: an id has one spelling per case. */
static int base32_value(char c)
{
	for (int i = 0; i < 32; i++)
		if (base32_upper[i] == c || base32_lower[i] == c)
			return i;
	return -1;
}

struct op_id op_id_make(uint64_t wall_ms, const uint8_t random[10])
{
	struct op_id id;

	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
	memcpy(id.b + 6, random, 10);
	return id;
}

/* 26 digits hold 130 bits: the first one carries the top 3 bits only. */
void op_id_text(const struct op_id *id, char out[OP_ID_CHARS + 1])
{
	unsigned acc = 0;
	unsigned bits = 2; /* two leading zero bits make 130 */
	size_t at = 0;

	for (size_t i = 0; i < OP_ID_BYTES; i++) {
		acc = (acc << 8) | id->b[i];
		bits += 8;
		while (bits >= 5) {
			bits -= 5;
			out[at++] = base32_upper[(acc >> bits) & 31];
		}
		acc &= (1U << bits) - 1;
	}
	out[at] = '\0';
}

int op_id_parse(const char *text, struct op_id *ret_id)
{
	struct op_id id = { 0 };
	unsigned acc = 0;
	unsigned bits = 0;
	size_t at = 0;

	if (strlen(text) != OP_ID_CHARS)
		return -EINVAL;
	for (size_t i = 0; i < OP_ID_CHARS; i++) {
		const int v = base32_value(text[i]);

		if (v < 0 || (i == 0 && v > 7))
			return -EINVAL;
		acc = (acc << 5) | (unsigned)v;
		bits += i == 0 ? 3 : 5;
		if (bits >= 8) {
			bits -= 8;
			id.b[at++] = (uint8_t)(acc >> bits);
			acc &= (1U << bits) - 1;
		}
	}
	*ret_id = id;
	return 0;
}

bool op_id_equal(const struct op_id *a, const struct op_id *b)
{
	return memcmp(a->b, b->b, OP_ID_BYTES) == 0;
}

bool op_id_is_zero(const struct op_id *id)
{
	static const struct op_id zero;

	return op_id_equal(id, &zero);
}

uint64_t op_id_wall_ms(const struct op_id *id)
{
	uint64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = (ms << 8) | id->b[i];
	return ms;
}

void vm_id_text(vm_id id, char out[VM_ID_CHARS + 1])
{
	for (int i = VM_ID_CHARS - 1; i >= 0; i--) {
		out[i] = base32_lower[id & 31];
		id >>= 5;
	}
	out[VM_ID_CHARS] = '\0';
}

int vm_id_parse(const char *text, vm_id *ret_id)
{
	vm_id id = 0;

	if (strlen(text) != VM_ID_CHARS)
		return -EINVAL;
	for (size_t i = 0; i < VM_ID_CHARS; i++) {
		const int v = base32_value(text[i]);

		if (v < 0)
			return -EINVAL;
		id = (id << 5) | (vm_id)v;
	}
	*ret_id = id;
	return 0;
}
