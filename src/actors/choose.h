/* choose.h - which VMM a new VM gets, where nobody says. */
#pragma once

#include "actors/env.h"

/* What counts of a VM. */
struct choice {
	bool os;      /* a guest with an operating system, not a probe */
	bool publish; /* ports */
};

/* Never NULL.  *ret_why (CHOICE_WHY_MAX bytes): the reason, for people. */
enum {
	CHOICE_WHY_MAX = 200,
};
const struct vmm_driver *choose_vmm(const struct env *env, const struct choice *c,
				    char ret_why[CHOICE_WHY_MAX]);

/* Whether that hangs on the accelerator alone, which has to be known first. */
bool choose_needs_accel(const struct env *env, const struct choice *c);

/* Whether a VMM that was asked for can be had, and has what the VM needs. */
int choose_check(const struct env *env, const struct vmm_driver *d, const struct choice *c,
		 struct err *e);
