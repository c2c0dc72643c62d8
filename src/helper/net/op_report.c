/* op_report.c - what bears our names on the host: for whoever compares it with what should. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "helper/net/link.h"
#include "helper/net/net.h"
#include "helper/net/nft.h"

enum {
	NAT_TEXT_MAX = HELPER_IFNAME_MAX + 1 + INET_ADDRSTRLEN, /* "TAP ADDRESS" */
};

/* The lists of a report without a heap: texts side by side, and pointers to them. */
struct rows {
	char text[HELPER_REPORT_MAX][NAT_TEXT_MAX];
	char *v[HELPER_REPORT_MAX];
	uint32_t n;
	bool partial;
};

struct report {
	const struct helper_conf *conf;
	struct rows bridges;
	struct rows taps;
	struct rows nat;
};

static void add(struct rows *r, const char *name, const char *address)
{
	if (r->n == HELPER_REPORT_MAX) {
		r->partial = true;
		return;
	}
	(void)snprintf(r->text[r->n], NAT_TEXT_MAX, "%s%s%s", name, address ? " " : "",
		       address ? address : "");
	r->v[r->n] = r->text[r->n];
	r->n++;
}

static void add_link(const struct link *l, void *arg)
{
	struct report *const r = arg;

	if (name_is_tap(l->name))
		add(&r->taps, l->name, NULL);
	else if (helper_conf_bridge(r->conf, l->name))
		add(&r->bridges, l->name, NULL);
}

static void add_nat(const char *tap, struct in_addr address, void *arg)
{
	struct report *const r = arg;
	char text[INET_ADDRSTRLEN];

	if (inet_ntop(AF_INET, &address, text, sizeof(text)))
		add(&r->nat, tap, text);
}

int report_act(struct op_call *c, struct err *e)
{
	static struct report r;
	struct net_env *const env = c->env;
	struct helper_net_report *const out = c->result;
	int rc;

	r.conf = env->conf;
	r.bridges.n = r.taps.n = r.nat.n = 0;
	r.bridges.partial = r.taps.partial = r.nat.partial = false;
	net_tidy(env); /* what does not go is in the report */
	rc = link_list(&env->route, 0, add_link, &r, e);
	if (rc == 0)
		rc = nft_list_nat(&env->filter, add_nat, &r, e);
	if (rc < 0)
		return rc;
	out->bridges = (struct strv){ r.bridges.v, r.bridges.n };
	out->taps = (struct strv){ r.taps.v, r.taps.n };
	out->nat = (struct strv){ r.nat.v, r.nat.n };
	out->partial = r.bridges.partial || r.taps.partial || r.nat.partial;
	return 0;
}
