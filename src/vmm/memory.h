/* memory.h - what a VMM says that its guest's balloon has said; known to this folder only. */
#pragma once

#include <jansson.h>

#include "vmm/vmm.h"

/* Numbers as a VMM writes them may have all 64 bits, which jansson's integers have not: whoever
 * loads such an object does it with JSON_DECODE_INT_AS_REAL.  A real has 53, for memory enough. */
void memory_take(struct vmm_memory *m, const json_t *object, const char *const names[VMM_NMEMORY]);
