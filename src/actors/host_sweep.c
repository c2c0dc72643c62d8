#include "actors/host_sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "actors/msg.h"
#include "actors/sweeper.h"
#include "actors/system.h"
#include "base/text.h"

#define TAP_PREFIX      "bg-"
#define SNAPSHOT_PREFIX "fc-rootfs-"
#define LOOP_OF_VM      "vms/"

/* What is to be absent: a question to the helper. */
struct remnant {
	enum helper_method method;
	vm_id vm;
	uint32_t slot;
	char word[HELPER_WORD_MAX + 1]; /* an address, a device */
};

struct host_sweep {
	struct sweeper w;
	uint32_t phase; /* row of phases; NPHASES: at rest */
	bool again;     /* another helper has come meanwhile */
	uint32_t removed, failed;
	struct remnant *remnants; /* owned array, of this phase */
	uint32_t nremnants, remnants_cap, next;
};

/* ---- what is nobody's ---- */

static void note(struct host_sweep *s, const struct remnant *r)
{
	if (s->nremnants == s->remnants_cap) {
		const uint32_t cap = s->remnants_cap ? s->remnants_cap * 2 : 16;
		struct remnant *grown = reallocarray(s->remnants, cap, sizeof(*grown));

		if (!grown) {
			s->failed++; /* it is looked for again */
			return;
		}
		s->remnants = grown;
		s->remnants_cap = cap;
	}
	s->remnants[s->nremnants++] = *r;
}

/* The id that a row holds after this prefix, up to `end`, where no VM has it. */
static bool is_nobodys(const struct host_sweep *s, const char *row, const char *prefix, char end,
		       vm_id *ret_vm)
{
	const size_t head = strlen(prefix);
	char id[VM_ID_CHARS + 1] = "";

	if (strncmp(row, prefix, head) != 0)
		return false;
	(void)snprintf(id, sizeof(id), "%.*s", VM_ID_CHARS, row + head);
	if (strlen(id) != VM_ID_CHARS ||
	    (row[head + VM_ID_CHARS] != '\0' && row[head + VM_ID_CHARS] != end))
		return false;
	return vm_id_parse(id, ret_vm) == 0 && *ret_vm != 0 && !node_vm(s->w.node, *ret_vm);
}

/* ---- jails ---- */

static void note_jail(struct host_sweep *s, vm_id vm, uint32_t slot)
{
	note(s, &(struct remnant){ .method = HELPER_KILL_VMM, .vm = vm, .slot = slot });
	note(s, &(struct remnant){ .method = HELPER_CLEANUP_JAIL, .vm = vm, .slot = slot });
}

static bool is_noted(const struct host_sweep *s, vm_id vm)
{
	for (uint32_t i = 0; i < s->nremnants; i++)
		if (s->remnants[i].vm == vm)
			return true;
	return false;
}

/* Whoever else the helper works for. */
static bool is_ours(const struct host_sweep *s, const struct helper_jail_report *r)
{
	struct stat st;

	return stat(s->w.env->conf.state_dir, &st) == 0 && st.st_dev == r->state_dev &&
	       st.st_ino == r->state_ino;
}

/* The slot says whose files the owner gets back: those that have one come first. */
static bool see_jails(struct host_sweep *s, const void *report)
{
	const struct helper_jail_report *const r = report;
	const struct strv *const lists[] = { &r->jails, &r->cgroups };
	vm_id vm;

	if (!is_ours(s, r)) {
		LOG_WARN(&s->w.actor.log, NULL, "sweep.others",
			 K("why", "the root helper's state directory is another"));
		return false;
	}
	for (uint32_t i = 0; i < r->slots.n; i++) {
		unsigned slot = 0;
		int at = 0;

		if (sscanf(r->slots.v[i], "slot-%5u %n", &slot, &at) == 1 && at > 0 &&
		    is_nobodys(s, r->slots.v[i] + at, "", '\0', &vm))
			note_jail(s, vm, slot);
	}
	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		for (uint32_t i = 0; i < lists[l]->n; i++)
			if (is_nobodys(s, lists[l]->v[i], "", '\0', &vm) && !is_noted(s, vm))
				note_jail(s, vm, 0);
	return true;
}

/* ---- interfaces ---- */

/* By now another VM may have the address, and be let out by it. */
static bool is_a_vms_address(const struct host_sweep *s, const char *address)
{
	list_for_each (v, &s->w.node->vms)
		if (strcmp(list_entry(v, struct vm, link)->rec.address, address) == 0)
			return true;
	return false;
}

static bool see_links(struct host_sweep *s, const void *report)
{
	const struct helper_net_report *const r = report;
	struct remnant x;

	for (uint32_t i = 0; i < r->nat.n; i++) {
		x = (struct remnant){ .method = HELPER_REMOVE_NAT };
		if (!is_nobodys(s, r->nat.v[i], TAP_PREFIX, ' ', &x.vm))
			continue;
		(void)snprintf(x.word, sizeof(x.word), "%s",
			       r->nat.v[i] + strcspn(r->nat.v[i], " ") + 1);
		if (!is_a_vms_address(s, x.word))
			note(s, &x);
	}
	for (uint32_t i = 0; i < r->taps.n; i++) {
		x = (struct remnant){ .method = HELPER_DELETE_TAP };
		if (is_nobodys(s, r->taps.v[i], TAP_PREFIX, '\0', &x.vm))
			note(s, &x);
	}
	return true;
}

/* ---- disks ---- */

static bool see_disks(struct host_sweep *s, const void *report)
{
	const struct helper_block_report *const r = report;
	struct remnant x;

	for (uint32_t i = 0; i < r->snapshots.n; i++) {
		x = (struct remnant){ .method = HELPER_REMOVE_SNAPSHOT };
		if (!is_nobodys(s, r->snapshots.v[i], SNAPSHOT_PREFIX, '\0', &x.vm))
			continue;
		(void)snprintf(x.word, sizeof(x.word), "%s", r->snapshots.v[i]);
		note(s, &x);
	}
	for (uint32_t i = 0; i < r->loops.n; i++) { /* those that have come to no snapshot */
		const char *const row = r->loops.v[i];
		const size_t name = strcspn(row, " ");

		x = (struct remnant){ .method = HELPER_CLEANUP_SNAPSHOT };
		if (row[name] == '\0' || name >= sizeof(x.word) ||
		    !is_nobodys(s, row + name + 1, LOOP_OF_VM, '/', &x.vm) || is_noted(s, x.vm))
			continue;
		(void)snprintf(x.word, sizeof(x.word), "%.*s", (int)name, row);
		note(s, &x);
	}
	return true;
}

/* ---- questions ---- */

/* In the order in which a VM's undo has them. */
static const struct phase {
	enum helper_method report;
	bool (*see)(struct host_sweep *s, const void *report); /* false: there is no more to do */
} phases[] = {
	{ HELPER_REPORT_JAIL, see_jails },
	{ HELPER_REPORT_NET, see_links },
	{ HELPER_REPORT_BLOCK, see_disks },
};

enum {
	NPHASES = ARRAY_LEN(phases),
};

union report {
	struct helper_jail_report jail;
	struct helper_net_report net;
	struct helper_block_report block;
};

static int ask(struct host_sweep *s, enum helper_method method, const void *args, struct err *e)
{
	const struct helper_question q = {
		.method = method, .args = args, .owner = s->w.actor.id, .msg_type = MSG_HELPER
	};

	return helper_ask(s->w.env->system->helper, &q, e);
}

static int ask_absent(struct host_sweep *s, const struct remnant *r, struct err *e)
{
	union {
		struct helper_jail_args jail;
		struct helper_tap_args tap;
		struct helper_nat_args nat;
		struct helper_device_args device;
		struct helper_cleanup_args cleanup;
	} a;

	memset(&a, 0, sizeof(a));
	if (r->method == HELPER_KILL_VMM || r->method == HELPER_CLEANUP_JAIL) {
		a.jail = (struct helper_jail_args){ .vm = r->vm, .slot = r->slot };
	} else if (r->method == HELPER_DELETE_TAP) {
		a.tap = (struct helper_tap_args){ .bridge = SYSTEM_BRIDGE, .vm = r->vm };
	} else if (r->method == HELPER_REMOVE_NAT) {
		a.nat = (struct helper_nat_args){ .bridge = SYSTEM_BRIDGE, .vm = r->vm };
		(void)snprintf(a.nat.address, sizeof(a.nat.address), "%s", r->word);
	} else if (r->method == HELPER_REMOVE_SNAPSHOT) {
		(void)snprintf(a.device.device, sizeof(a.device.device), "%s", r->word);
	} else {
		char id[VM_ID_CHARS + 1];

		vm_id_text(r->vm, id);
		(void)snprintf(a.cleanup.name, sizeof(a.cleanup.name), SNAPSHOT_PREFIX "%s", id);
		(void)snprintf(a.cleanup.cow_loop, sizeof(a.cleanup.cow_loop), "%s", r->word);
	}
	return ask(s, r->method, &a, e);
}

static void failed(struct host_sweep *s, const struct err *e)
{
	s->failed++;
	LOG_WARN(&s->w.actor.log, NULL, "sweep.failed", K("why", e->text));
}

static void begin(struct host_sweep *s);

static void end(struct host_sweep *s)
{
	s->phase = NPHASES;
	sweeper_ended(&s->w, s->failed > 0);
	if (s->removed > 0)
		LOG_NOTICE(&s->w.actor.log, NULL, "sweep.host", K("removed", s->removed),
			   K("failed", s->failed));
	if (s->again)
		begin(s);
	else if (s->failed > 0)
		sweeper_retry(&s->w);
}

/* The next question; after those of a phase comes the next phase.  Who was made a VM meanwhile is
 * not one of these: its id is new. */
static void go_on(struct host_sweep *s)
{
	struct err e = { 0 };

	while (s->phase < NPHASES) {
		const bool looks = s->next == s->nremnants;
		int rc;

		if (looks && ++s->phase == NPHASES)
			break;
		if (looks)
			s->nremnants = s->next = 0;
		rc = looks ? ask(s, phases[s->phase].report, NULL, &e)
			   : ask_absent(s, &s->remnants[s->next++], &e);
		if (rc == 0)
			return;
		failed(s, &e);
	}
	end(s);
}

static void begin(struct host_sweep *s)
{
	struct err e = { 0 };

	io_timer_cancel(s->w.env->io, &s->w.retry);
	s->again = false;
	s->phase = s->removed = s->failed = s->nremnants = s->next = 0;
	if (ask(s, phases[0].report, NULL, &e) < 0) {
		failed(s, &e);
		end(s);
	}
}

static void answered(struct host_sweep *s, const struct helper_answer *a)
{
	const bool is_report = a->method == phases[s->phase].report;
	struct err e = a->err;
	union report r;

	memset(&r, 0, sizeof(r));
	if (!e.code && is_report)
		IGNORE(helper_result(a, &r, &e) < 0);
	if (e.code)
		failed(s, &e);
	if (!is_report)
		s->removed += !e.code;
	else if (e.code || !phases[s->phase].see(s, &r))
		s->phase = NPHASES - 1; /* nothing is noted: that was all */
	if (is_report && !e.code)
		schema_fini(helper_methods[a->method].result, &r);
	go_on(s);
}

static void handle(struct actor *actor, struct msg *m)
{
	struct host_sweep *s = container_of(actor, struct host_sweep, w.actor);

	if (m->type == MSG_HELPER) {
		struct helper_answer *a = container_of(m, struct helper_answer, msg);

		answered(s, a);
		helper_answer_free(a);
		return;
	}
	if (m->type == MSG_HELPER_UP)
		msg_free(m);
	else
		ASSERT(m == &s->w.retry.msg);
	if (s->phase < NPHASES)
		s->again = true;
	else
		begin(s);
}

int host_sweep_begin(struct node *n)
{
	struct host_sweep *s = calloc(1, sizeof(*s));

	if (!s || sweeper_init(&s->w, n, handle, "sweep/host") < 0) {
		free(s);
		return -ENOMEM;
	}
	s->phase = NPHASES;
	helper_watch(n->env->system->helper, s->w.actor.id, MSG_HELPER_UP);
	return 0;
}
