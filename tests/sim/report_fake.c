/* report_fake.c - what the simulated root helper says that there is on its host. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/id.h"
#include "tests/sim/helper_fake.h"

enum {
	ROW_BYTES = 64,
};

struct rows {
	char text[HELD_MAX][ROW_BYTES];
	char *v[HELD_MAX];
	struct strv list;
};

static bool has_disk(const struct held *x)
{
	return x->disk;
}

static bool has_tap(const struct held *x)
{
	return x->tap;
}

static bool has_nat(const struct held *x)
{
	return x->nat;
}

static bool has_jail(const struct held *x)
{
	return x->jail;
}

/* A row for each VM that has it: before its id, and after. */
static struct strv rows_of(const struct world_helper *h, bool (*has)(const struct held *x),
			   const char *before, const char *after, bool slot, struct rows *r)
{
	r->list = (struct strv){ r->v, 0 };
	for (size_t i = 0; i < HELD_MAX; i++) {
		const struct held *x = &h->held[i];
		char *const text = r->text[r->list.n];
		char id[VM_ID_CHARS + 1];

		if (!x->vm || !has(x))
			continue;
		vm_id_text(x->vm, id);
		if (slot)
			(void)snprintf(text, ROW_BYTES, "slot-%u %s", x->slot, id);
		else
			(void)snprintf(text, ROW_BYTES, "%s%s%s", before, id, after);
		r->v[r->list.n++] = text;
	}
	return r->list;
}

void report_jail(struct world_helper *h, const void *args, struct answer *a)
{
	static struct rows jails;
	static struct rows slots;
	struct helper_jail_report out = { .partial = false };
	struct stat st;
	const int rc = stat(h->w->state, &st);

	(void)args;
	ASSERT(rc == 0);
	out.jails = out.cgroups = rows_of(h, has_jail, "", "", false, &jails);
	out.slots = rows_of(h, has_jail, "", "", true, &slots);
	out.state_dev = st.st_dev;
	out.state_ino = h->anothers ? st.st_ino + 1 : st.st_ino;
	helper_says(a, &helper_jail_report_schema, &out);
}

void report_net(struct world_helper *h, const void *args, struct answer *a)
{
	static struct rows taps;
	static struct rows nat;
	struct helper_net_report out = { .partial = false };

	(void)args;
	out.taps = rows_of(h, has_tap, "bg-", "", false, &taps);
	out.nat = rows_of(h, has_nat, "bg-", " 10.97.0.200", false, &nat);
	helper_says(a, &helper_net_report_schema, &out);
}

void report_block(struct world_helper *h, const void *args, struct answer *a)
{
	static struct rows snapshots;
	struct helper_block_report out = { .device_mapper = !h->w->no_device_mapper };

	(void)args;
	out.snapshots = rows_of(h, has_disk, "fc-rootfs-", "", false, &snapshots);
	helper_says(a, &helper_block_report_schema, &out);
}
