/* memory.c - what the daemon has allocated: dropped when it is killed, refused when it shall be.
 *
 * The linker sends every malloc(3) of our own objects here (--wrap).  Only what the daemon's code
 * asks for is put on the list.  The list is in pages of its own, where the leak detector does not
 * look: a block that only the list knows is a leak.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/sim/world.h"

enum {
	SLOTS = 1 << 15, /* a power of two; a daemon of some VMs has a thousand blocks */
};

static void **slots; /* open addressing, linear probing */
static size_t used;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);
void __real_free(void *p);

static size_t slot_of(const void *p)
{
	return (size_t)map_hash_u64((uintptr_t)p) & (SLOTS - 1);
}

static void *note(void *p)
{
	if (!p)
		return p;
	if (!slots) {
		slots = mmap(NULL, SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT(slots != MAP_FAILED);
	}
	size_t at = slot_of(p);

	while (slots[at] && slots[at] != p)
		at = (at + 1) & (SLOTS - 1);
	used += !slots[at];
	ASSERT(used < SLOTS / 2);
	slots[at] = p;
	return p;
}

static void forget(const void *p)
{
	if (!p || !slots)
		return;
	size_t at = slot_of(p);

	while (slots[at] && slots[at] != p)
		at = (at + 1) & (SLOTS - 1);
	if (!slots[at])
		return;
	used--;
	/* Close the gap: whoever was pushed past it moves back. */
	for (size_t next = (at + 1) & (SLOTS - 1); slots[next]; next = (next + 1) & (SLOTS - 1)) {
		const size_t home = slot_of(slots[next]);

		if (((next - home) & (SLOTS - 1)) >= ((next - at) & (SLOTS - 1))) {
			slots[at] = slots[next];
			at = next;
		}
	}
	slots[at] = NULL;
}

size_t memory_blocks(void)
{
	return used;
}

void memory_drop_all(void)
{
	for (size_t at = 0; slots && at < SLOTS && used > 0; at++) {
		while (slots[at]) {
			void *p = slots[at];

			forget(p);
			__real_free(p);
		}
	}
}

/* Whose it is, and whether it may be had. */
static bool refused(void)
{
	if (!sim_daemon_runs || !the_world || sim_ask(the_world->sim, SIM_MEMORY, "") == 0)
		return false;
	errno = ENOMEM;
	return true;
}

static void *given(void *p)
{
	return sim_daemon_runs ? note(p) : p;
}

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return refused() ? NULL : given(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return refused() ? NULL : given(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
	if (refused())
		return NULL;
	forget(p);
	void *q = __real_realloc(p, size);

	if (!q && size > 0)
		given(p);
	return given(q);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return __wrap_realloc(p, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return refused() ? NULL : given(__real_aligned_alloc(align, size));
}

char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
	return refused() ? NULL : given(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n)
{
	return refused() ? NULL : given(__real_strndup(s, n));
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);
__attribute__((format(printf, 2, 0))) int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
	if (refused())
		return -1;
	const int n = __real_vasprintf(ret, fmt, ap);

	if (n >= 0)
		given(*ret);
	return n;
}

int __wrap_asprintf(char **ret, const char *fmt, ...) PRINTF_LIKE(2, 3);
int __wrap_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = __wrap_vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

void __wrap_free(void *p);
void __wrap_free(void *p)
{
	forget(p);
	__real_free(p);
}
