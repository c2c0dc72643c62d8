/* vm_ask.c - what clients ask of a VM's guest: how it is.
 *
 * A question goes to the agent as it is; what comes back is put into the client's words here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "actors/vm.h"

static void answer_ping(struct vm *vm, struct op *op, const void *result, uint64_t took_us)
{
	const struct guest_status *status = result;
	struct ping_result r = { .id = vm->rec.id, .round_trip_us = took_us };

	(void)snprintf(r.name, sizeof(r.name), "%s", vm->rec.spec.name);
	(void)snprintf(r.agent, sizeof(r.agent), "%s", status->agent);
	op_done(vm->env, op, &ping_result_schema, &r);
}

/* ---- health ---- */

/* "memory: 3% is available" */
static void check_share(struct vm_health *h, const char *what, uint64_t available, uint64_t total,
			uint32_t least_percent)
{
	const size_t used = strlen(h->problems);
	const uint64_t percent = total ? available * 100 / total : 100;

	if (percent < least_percent)
		(void)snprintf(h->problems + used, sizeof(h->problems) - used,
			       "%s%s: %u%% is available", used ? "; " : "", what,
			       (unsigned)percent);
}

static void answer_health(struct vm *vm, struct op *op, const void *result, uint64_t took_us)
{
	const struct guest_status *status = &vm->run->link.status;
	const struct guest_stats *g = result;
	struct vm_health h = { .id = vm->rec.id, .round_trip_us = took_us, .guest = *g };

	(void)snprintf(h.name, sizeof(h.name), "%s", vm->rec.spec.name);
	(void)snprintf(h.boot_id, sizeof(h.boot_id), "%s", status->boot_id);
	(void)snprintf(h.kernel, sizeof(h.kernel), "%s", status->kernel);
	(void)snprintf(h.os, sizeof(h.os), "%s", status->os);
	if (g->disk_read_only)
		(void)snprintf(h.problems, sizeof(h.problems), "disk: cannot be written");
	check_share(&h, "disk", g->disk_available_bytes, g->disk_bytes, HEALTH_DISK_PERCENT);
	check_share(&h, "memory", g->memory_available_bytes, g->memory_bytes,
		    HEALTH_MEMORY_PERCENT);
	(void)snprintf(h.state, sizeof(h.state), "%s", h.problems[0] ? "degraded" : "healthy");
	op_done(vm->env, op, &vm_health_schema, &h);
}

/* ---- ports ---- */

/* Forwarded connections arrive at the guest's own address, so its loopback gets none. */
static bool takes_forwards(const struct guest_port *p)
{
	return strcmp(p->proto, "tcp") == 0 && strncmp(p->address, "127.", 4) != 0 &&
	       strcmp(p->address, "::1") != 0;
}

static void put_port(const struct vm_spec *spec, const struct guest_port *from,
		     struct vm_port *ret_port)
{
	const struct publish *published = spec->publish.items;
	struct vm_port *p = ret_port;

	memcpy(p->proto, from->proto, sizeof(p->proto));
	memcpy(p->address, from->address, sizeof(p->address));
	memcpy(p->process, from->process, sizeof(p->process));
	p->port = from->port;
	p->pid = from->pid;
	for (uint32_t i = 0; i < spec->publish.n; i++)
		if (published[i].guest == from->port && takes_forwards(from))
			(void)snprintf(p->endpoint, sizeof(p->endpoint), "127.0.0.1:%u",
				       published[i].host);
}

static void answer_ports(struct vm *vm, struct op *op, const void *result, uint64_t took_us)
{
	const struct guest_ports *g = result;
	const struct guest_port *from = g->ports.items;
	struct vm_ports r = { .id = vm->rec.id, .omitted = g->omitted };
	struct vm_port *to = calloc(g->ports.n + 1, sizeof(*to));

	(void)took_us;
	if (!to) {
		op_refuse(vm->env, op, ERR_HOST_MEMORY, "ports");
		return;
	}
	(void)snprintf(r.name, sizeof(r.name), "%s", vm->rec.spec.name);
	for (uint32_t i = 0; i < g->ports.n; i++)
		put_port(&vm->rec.spec, &from[i], &to[i]);
	r.ports = (struct seq){ .items = to, .n = g->ports.n };
	op_done(vm->env, op, &vm_ports_schema, &r);
	free(to);
}

/* ---- stats ---- */

static void answer_stats(struct vm *vm, struct op *op, const void *result, uint64_t took_us)
{
	(void)took_us;
	vm_stats_read(vm, op, result, NULL);
}

/* ---- who asks what ---- */

static const struct {
	enum client_method method;
	enum guest_method ask;
	void (*answer)(struct vm *vm, struct op *op, const void *result, uint64_t took_us);
} questions[] = {
	{ METHOD_VM_PING, GUEST_METHOD_STATUS, answer_ping },
	{ METHOD_VM_HEALTH, GUEST_METHOD_STATS, answer_health },
	{ METHOD_VM_PORTS, GUEST_METHOD_PORTS, answer_ports },
	{ METHOD_VM_STATS, GUEST_METHOD_STATS, answer_stats },
};

static size_t question_of(enum client_method m)
{
	size_t i = 0;

	while (i < ARRAY_LEN(questions) && questions[i].method != m)
		i++;
	ASSERT(i < ARRAY_LEN(questions));
	return i;
}

void vm_answered(struct vm *vm, struct op *op, const void *result, uint64_t took_us)
{
	questions[question_of(op->method)].answer(vm, op, result, took_us);
}

/* The host's part of the stats is known without the guest. */
void vm_unanswered(struct vm *vm, struct op *op, const struct err *why)
{
	if (op->method == METHOD_VM_STATS && why->code != ERR_CANCELLED)
		vm_stats_read(vm, op, NULL, why);
	else
		op_fail(vm->env, op, why);
}

void vm_question(struct vm *vm, struct op *op)
{
	const struct guest_ask_args *args = op->args;

	guest_link_question(&vm->run->link, op, questions[question_of(op->method)].ask,
			    args->deadline_ms ? args->deadline_ms : GUEST_ASK_MS);
}
