/* fsm.h - states as a table: name, which may follow, what is accepted from outside. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/macros.h"

struct fsm_state {
	const char *name;
	uint64_t next;    /* BIT(state) of each that may follow */
	uint64_t accepts; /* BIT(verb) of each request that may come in this state */
};

struct fsm {
	const struct fsm_state *states; /* borrowed, static */
	uint32_t now;
};

static inline bool fsm_accepts(const struct fsm *f, uint32_t verb)
{
	return (f->states[f->now].accepts & BIT(verb)) != 0;
}

static inline const char *fsm_name(const struct fsm *f)
{
	return f->states[f->now].name;
}

/* The one way to change a state. */
static inline void fsm_move(struct fsm *f, uint32_t to)
{
	ASSERT((f->states[f->now].next & BIT(to)) != 0);
	f->now = to;
}
