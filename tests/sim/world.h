/* world.h - a whole installation in the simulator: host, directories, daemon, fake programs.
 *
 * One world at a time.  It builds the daemon with the function that bangerd.c uses, gives it a
 * simulated host, keeps its log, and can end it in every way that a real one ends: stopped, killed
 * in the middle of anything, without power.  What the daemon allocates and opens is on a list, so
 * that it can be dropped as a process's end would.  The store is a real one in a directory of its
 * own; directories are real, and each call of the daemon that changes them can be made to fail.
 */
#pragma once

#include "daemon.h"
#include "io/sim.h"

enum {
	WORLD_PATH = 512,
	WORLD_STARTS = 2, /* the gate: few, so that VMs wait for each other */
};

/* What the VMM that is started next does. */
enum vmm_mood {
	VMM_WELL,
	VMM_NO_START, /* complains and ends at once */
	VMM_DIES,     /* ends while its guest boots */
	VMM_SILENT,   /* its guest never says that it is up */
	VMM_LATE,     /* ... or says so after every deadline */
	VMM_STUBBORN, /* its guest does not power off */
	VMM_GARBLED,  /* its channels carry bytes that mean nothing */
	VMM_NMOODS,
};

enum imager_mood {
	IMAGER_WELL,
	IMAGER_ERROR,  /* says what is wrong, status 1 */
	IMAGER_CRASH,  /* no word, a signal */
	IMAGER_SILENT, /* goes on for ever */
	IMAGER_NMOODS,
};

enum network_mood {
	NETWORK_WELL,
	NETWORK_PORT_BUSY, /* complains and ends at once */
};

struct log_line {
	uint64_t at_us;
	char *text; /* owned */
};

struct world {
	struct sim *sim;
	char root[WORLD_PATH];
	char runtime[WORLD_PATH + 16];
	char state[WORLD_PATH + 16];
	struct conf conf;
	char conf_file[WORLD_PATH +
		       16]; /* what a reload reads; not there unless a test writes it */
	struct conf_input conf_input;
	struct conf_problems conf_problems;
	struct daemon *daemon; /* NULL: none runs */
	bool failed;           /* it could not be started: start_err */
	struct err start_err;
	enum vmm_mood vmm; /* of each VMM started, unless vmm_chance */
	bool vmm_chance;   /* its mood is chosen as it starts */
	enum network_mood network;
	enum imager_mood imager;
	uint64_t boot_us;        /* of a guest */
	uint32_t boot_chance_us; /* not 0: up to that, by chance */
	struct log_line *lines;
	uint32_t nlines;
	uint32_t mark; /* lines before this one have been looked at */
	void (*on_line)(struct world *w, const char *line);
	uint32_t fds_at_start; /* real descriptors of a daemon without VMs */
	uint64_t op_ids;
	struct op_id next_op_id;     /* not zero: of the next request */
	char typed[64];              /* on consoles so far */
	uint64_t disk_rate;          /* that a Firecracker was told last for its VM's disk */
	uint64_t boots;              /* of guests so far: their boot ids */
	struct world_helper *helper; /* owned; NULL: session mode */
	bool no_device_mapper;       /* nor has its host */
	void *arg;
};

extern struct world *the_world; /* for the interceptors */

struct world_config {
	struct sim_config sim;
	bool disk_image;  /* "debian" and a kernel are there from the beginning */
	bool system;      /* system mode, with a root helper */
	bool firecracker; /* VMs run on that */
	bool copies;      /* system mode without device-mapper */
};

struct world *world_create(const struct world_config *conf);
void world_destroy(struct world *w);

/* Starts a daemon on what is there.  False: it refused, start_err says why, or it died of it. */
bool world_start(struct world *w);
void world_kill(struct world *w);       /* kill -9 of the daemon */
void world_power_loss(struct world *w); /* ... and of all else */

/* Turns until cond holds.  False when nothing happens any more, or it takes more than `limit_us` of
 * simulated time; true also when the daemon has died meanwhile (see sim_dead). */
typedef bool world_cond(struct world *w, void *arg);
bool world_until(struct world *w, world_cond *cond, void *arg, uint64_t limit_us);
/* Until nobody has anything to do: no operation, no plan, no retry. */
bool world_settle(struct world *w);
const char *world_restless(const struct world *w); /* who has; NULL when nobody */

struct op_id world_op_id(struct world *w);
const char *world_path(const struct world *w, const char *under); /* in a static buffer */

/* ---- what may be said of it ---- */

/* The records, the daemon's memory and the host agree: NULL, or what does not, in a static buffer.
 * With the daemon at rest only. */
const char *world_check(struct world *w);
/* As far as this VM is concerned, also when others are busy.  By its name; one that does not exist
 * must have left nothing. */
const char *world_check_vm(struct world *w, const char *name);
/* Who is not starting holds no place; also while an undo of it is still to be done again. */
const char *world_check_gate(struct world *w, const char *name);
struct vm *world_vm(struct world *w, const char *name);     /* NULL when there is none */
uint32_t world_processes(struct world *w, vm_id id);        /* VMMs of that VM; 0: of any */
uint32_t world_networks(struct world *w, vm_id id);         /* likewise */
const char *world_state(struct world *w, const char *name); /* "gone" when there is none */

/* Lines since the last story that tell of steps and states, with the time since the first of them,
 * to a hundredth of a second: "[   20ms] vm/a step.do step=console". */
const char *world_story(struct world *w);
void world_print_log(const struct world *w, uint32_t last);

/* ---- memory and descriptors of the daemon (memory.c, calls.c) ---- */

void memory_drop_all(void);
size_t memory_blocks(void);
void calls_close_all(void);
uint32_t calls_open(void);

/* ---- the root helper (helper_fake.c) ---- */

void helper_begin(struct world *w);      /* it runs, and holds nothing */
void helper_kill(struct world *w);       /* it is started again by and by */
void helper_power_loss(struct world *w); /* nothing is left on the host, and it runs again */
void helper_free(struct world *w);
bool helper_connected(const struct world *w);
bool helper_rests(const struct world *w); /* it runs, and owes no answer */
/* What it holds for this VM, in words: "disk tap nat jail"; "" where it holds nothing. */
const char *helper_holds(const struct world *w, vm_id vm);
uint32_t helper_nheld(const struct world *w); /* VMs that it holds something for */

/* ---- programs (vmm_fake.c, firecracker_fake.c, network_fake.c, imager_fake.c) ---- */

extern const struct sim_program vmm_program;
extern const struct sim_program network_program;
extern const struct sim_program passt_program;
extern const struct sim_program firecracker_program;
extern const struct sim_program imager_program;
static inline bool world_is_vmm(const struct sim_proc *p)
{
	return p->program == &vmm_program || p->program == &firecracker_program;
}
static inline bool world_is_network(const struct sim_proc *p)
{
	return p->program == &network_program || p->program == &passt_program;
}
extern const struct sim_program bystander_program;
