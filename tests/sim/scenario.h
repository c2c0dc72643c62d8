/* scenario.h - what is asked of a daemon, each on a stage of its own: for the tables that let every
 * step and every effect of it go wrong. */
#pragma once

#include "tests/sim/client_fake.h"

struct run {
	struct world *w;
	struct client *c;
	struct call *call; /* what was asked; NULL where nobody asked (a daemon that starts) */
	bool over;         /* nobody asked, and it has come to rest */
};

struct scenario {
	const char *name;
	const char *vm; /* what it is about; or "" */
	void (*before)(struct run *r);
	struct call *(*ask)(struct run *r);
	enum vmm_mood vmm;
	enum imager_mood imager;
	/* Where the VM may be afterwards, as words in a row: done; when something failed; when it
	 * was taken back by its client. */
	const char *done;
	const char *failed;
	const char *cancelled;
	bool system;      /* in system mode */
	bool firecracker; /* on that instead of QEMU */
	bool copies;      /* without device-mapper */
};

extern const struct scenario scenarios[];
extern const size_t nscenarios;

/* A world on which everything before has gone well. */
void run_begin(struct run *r, const struct scenario *sc, const struct sim_config *sim);
/* Asks, and waits for the answer or for the daemon's death. */
bool run_ask(struct run *r, const struct scenario *sc);
/* Everything is well again: all rests, agrees, and can be removed without a trace.  NULL, or what
 * is wrong. */
const char *run_after(struct run *r, const struct scenario *sc);
void run_end(struct run *r);
/* A client of a daemon that was started anew. */
void run_reconnect(struct run *r);
