#include "actors/system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/env.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "actors/msg.h"
#include "base/text.h"

enum {
	SLOT_WORD_BITS = 64,
	PREFIX_BITS = 32,
	HOSTS_RESERVED = 3, /* the subnet's first and last address, and the host's own */
};

/* ---- addresses ---- */

static uint32_t subnet_guests(const struct helper_bridge_view *b)
{
	const uint64_t all = UINT64_C(1) << (PREFIX_BITS - b->prefix);

	return all > HOSTS_RESERVED ? (uint32_t)(all - HOSTS_RESERVED) : 0;
}

bool system_guest_address(const struct helper_bridge_view *bridge, uint32_t n, char out[16])
{
	struct in_addr host;

	if (bridge->prefix == 0 || bridge->prefix > PREFIX_BITS ||
	    inet_pton(AF_INET, bridge->address, &host) != 1 || n >= subnet_guests(bridge))
		return false;
	const uint32_t own = ntohl(host.s_addr);
	const uint32_t mask = (uint32_t)(UINT64_C(0xffffffff) << (PREFIX_BITS - bridge->prefix));
	uint32_t guest = (own & mask) + 1 + n;

	guest += guest >= own;
	const struct in_addr a = { .s_addr = htonl(guest) };
	return inet_ntop(AF_INET, &a, out, 16) != NULL;
}

/* ---- slots ---- */

static bool slot_taken(const struct system *s, uint32_t slot)
{
	return (s->taken[slot / SLOT_WORD_BITS] >> (slot % SLOT_WORD_BITS) & 1) != 0;
}

static void slot_mark(struct system *s, uint32_t slot, bool taken)
{
	const uint64_t bit = UINT64_C(1) << (slot % SLOT_WORD_BITS);

	if (taken)
		s->taken[slot / SLOT_WORD_BITS] |= bit;
	else
		s->taken[slot / SLOT_WORD_BITS] &= ~bit;
}

int system_take_slot(struct system *s, struct vm_record *rec, struct err *e)
{
	uint32_t slot = s->first_free;

	if (!s->known)
		return err_set(e, ERR_HELPER_DOWN, "system mode: %.160s",
			       s->why.code ? s->why.text : "the root helper has not answered yet");
	while (slot < s->nslots && slot_taken(s, slot))
		slot++;
	s->first_free = slot;
	if (slot >= s->nslots || !system_guest_address(&s->bridge, slot, rec->address))
		return err_set(e, ERR_VM_LIMIT, "all %u slots of bridge %s are taken", s->nslots,
			       s->bridge.bridge);
	rec->slot = slot;
	(void)snprintf(rec->disk, sizeof(rec->disk), "%s", system_disk(s));
	slot_mark(s, slot, true);
	return 0;
}

void system_keep_slot(struct system *s, const struct vm_record *rec)
{
	if (rec->slot <= HELPER_SLOT_MAX)
		slot_mark(s, rec->slot, true);
}

void system_give_slot(struct system *s, const struct vm_record *rec)
{
	if (rec->slot > HELPER_SLOT_MAX)
		return;
	slot_mark(s, rec->slot, false);
	if (rec->slot < s->first_free)
		s->first_free = rec->slot;
}

/* ---- disks ---- */

const char *system_disk(const struct system *s)
{
	const char *word = s->env->conf.root_disk;

	if (!word[0])
		return s->snapshots ? "" : s->reflinks ? "reflink" : "copy";
	return strcmp(word, "dm-snapshot") == 0 ? "" : word;
}

/* ---- what the helper has ---- */

/* Known, or known not to be for now: whoever waits for that goes on. */
static void settle(struct system *s)
{
	io_timer_cancel(s->env->io, &s->patience);
	if (!s->settled)
		actor_post(s->env->actors, s->env->node, &s->tell);
	s->settled = true;
}

static void ask_later(struct system *s, const struct err *why)
{
	s->why = *why;
	s->again_ms = s->again_ms == 0 ? RETRY_FIRST_MS : s->again_ms * 2;
	if (s->again_ms > RETRY_MAX_MS)
		s->again_ms = RETRY_MAX_MS;
	io_timer_set(s->env->io, &s->again, s->again_ms, 0);
	settle(s);
}

static void ask(struct system *s, enum helper_method method)
{
	static const struct helper_bridge_args bridge = { .bridge = SYSTEM_BRIDGE };
	static const struct none none;
	const struct helper_question q = { .method = method,
					   .args = method == HELPER_ENSURE_BRIDGE
							   ? (const void *)&bridge
							   : &none,
					   .owner = s->actor.id,
					   .msg_type = MSG_HELPER };
	struct err e = { 0 };

	if (helper_ask(s->helper, &q, &e) < 0)
		ask_later(s, &e);
}

static void known(struct system *s)
{
	const uint32_t guests = subnet_guests(&s->bridge);

	s->nslots = guests < s->bridge.slots ? guests : s->bridge.slots;
	s->known = true;
	s->why = (struct err){ 0 };
	settle(s);
	LOG_INFO(&s->actor.log, NULL, "system.known", K("bridge", s->bridge.bridge),
		 K("address", s->bridge.address), K("slots", s->nslots));
}

static void answered(struct system *s, const struct helper_answer *a)
{
	struct helper_block_report report = { .partial = false };
	struct err e = a->err;

	if (!e.code && a->method == HELPER_ENSURE_BRIDGE)
		IGNORE(helper_result(a, &s->bridge, &e) < 0);
	else if (!e.code && helper_result(a, &report, &e) == 0)
		s->snapshots = report.device_mapper;
	schema_fini(&helper_block_report_schema, &report);
	if (e.code)
		ask_later(s, &e);
	else if (a->method == HELPER_ENSURE_BRIDGE)
		ask(s, HELPER_REPORT_BLOCK);
	else
		known(s);
}

static void handle(struct actor *a, struct msg *m)
{
	struct system *s = container_of(a, struct system, actor);

	if (m == &s->again.msg) {
		ask(s, HELPER_ENSURE_BRIDGE);
		return;
	}
	if (m == &s->patience.msg) {
		settle(s);
		return;
	}
	ASSERT(m->type == MSG_HELPER);
	struct helper_answer *answer = container_of(m, struct helper_answer, msg);

	answered(s, answer);
	helper_answer_free(answer);
}

void system_describe(const struct system *s, char *out, size_t size)
{
	if (s->known)
		(void)snprintf(out, size, "bridge %s %s/%u, %u slots, root disks by %s",
			       s->bridge.bridge, s->bridge.address, s->bridge.prefix, s->nslots,
			       system_disk(s)[0] ? system_disk(s) : "dm-snapshot");
	else
		(void)snprintf(out, size, "%s",
			       s->why.code ? s->why.text : "it has not answered yet");
}

/* ---- resolvers ---- */

/* A guest cannot reach what listens on the host's loopback, as systemd-resolved does: that one's
 * own resolvers are looked at first. */
static bool find_dns(const char *path, char out[16])
{
	FILE *f = fopen(path, "re");
	char line[256];
	struct in_addr a;
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "nameserver %15[0-9.]", out) == 1 &&
			inet_pton(AF_INET, out, &a) == 1 && ntohl(a.s_addr) >> 24 != IN_LOOPBACKNET;
	if (f)
		(void)fclose(f);
	if (!found)
		out[0] = '\0';
	return found;
}

int system_create(struct env *env, const char *helper_socket, struct err *e)
{
	struct system *s = calloc(1, sizeof(*s));

	if (!s || actor_init(&s->actor, env->actors, handle) < 0 ||
	    helper_create(env->io, env->actors, helper_socket, &s->helper) < 0)
		return err_set(e, ERR_HOST_MEMORY, "the root helper's proxy");
	(void)snprintf(s->actor.log.actor, sizeof(s->actor.log.actor), "system");
	s->env = env;
	env->system = s;
	s->tell = (struct msg){ .type = MSG_SYSTEM };
	io_timer_init(&s->again, &s->actor, MSG_TIMER);
	io_timer_init(&s->patience, &s->actor, MSG_TIMER);
	io_timer_set(env->io, &s->patience, SYSTEM_PATIENCE_MS, 0);
	if (!find_dns("/run/systemd/resolve/resolv.conf", s->dns))
		IGNORE(find_dns("/etc/resolv.conf", s->dns));
	s->reflinks = files_can_share(env->conf.state_dir);
	ask(s, HELPER_ENSURE_BRIDGE);
	return 0;
}
