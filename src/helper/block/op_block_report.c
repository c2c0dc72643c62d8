/* op_block_report.c - what of ours is on the host: for whoever compares it with what should be. */
#include <stdio.h>
#include <string.h>

#include "helper/block/block.h"

enum {
	ROW_BYTES = 80, /* "/dev/loopN PATH", cut there */
};

/* The lists of a report without a heap: texts side by side, and pointers to them. */
struct rows {
	char text[HELPER_BLOCK_REPORT_MAX][ROW_BYTES];
	char *v[HELPER_BLOCK_REPORT_MAX];
	uint32_t n;
	bool partial;
};

/* A path is bytes, a reply is text. */
static void add(struct rows *r, const char *text)
{
	size_t i = 0;

	if (r->n == HELPER_BLOCK_REPORT_MAX) {
		r->partial = true;
		return;
	}
	for (; text[i] != '\0' && i < ROW_BYTES - 1; i++)
		r->text[r->n][i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	r->text[r->n][i] = '\0';
	r->v[r->n] = r->text[r->n];
	r->n++;
}

static void add_device(const char *name, void *arg)
{
	if (strncmp(name, HANDLE_NAME_PREFIX, strlen(HANDLE_NAME_PREFIX)) == 0)
		add(arg, name);
}

static void add_loop(uint32_t number, const char *backing, void *arg)
{
	char text[ROW_BYTES];

	(void)snprintf(text, sizeof(text), HANDLE_LOOP_PREFIX "%u %s", number, backing);
	add(arg, text);
}

int block_report_act(struct op_call *c, struct err *e)
{
	static struct rows snapshots;
	static struct rows loops;
	struct block_env *const env = c->env;
	struct helper_block_report *const out = c->result;
	bool partial = false;
	int rc;

	snapshots.n = loops.n = 0;
	snapshots.partial = loops.partial = false;
	rc = dm_list(&env->dm, add_device, &snapshots, &partial, e);
	if (rc == 0)
		rc = loop_list(&env->loops, add_loop, &loops, e);
	if (rc < 0)
		return rc;
	out->snapshots = (struct strv){ snapshots.v, snapshots.n };
	out->loops = (struct strv){ loops.v, loops.n };
	out->device_mapper = env->dm.control >= 0;
	out->partial = partial || snapshots.partial || loops.partial;
	return 0;
}
