/* guest.c - `vm ping`, `vm health`, `vm ports`: what guests say of themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "command.h"
#include "each.h"
#include "http.h"
#include "human.h"
#include "report.h"
#include "rows.h"

/* ---- ping ---- */

static const struct column ping_columns[] = {
	{ .head = "ID", .drop = 2 },
	{ .head = "NAME", .shrink = true },
	{ .head = "TOOK", .right = true },
	{ .head = "AGENT", .drop = 1 },
};

static int add_ping(void *arg, const void *result, struct err *e)
{
	const struct ping_result *r = result;
	char id[VM_ID_CHARS + 1];
	char took[HUMAN_MAX];
	const char *const cells[] = { id, r->name, took, r->agent };

	vm_id_text(r->id, id);
	human_duration(r->round_trip_us, took);
	return rows_add(arg, r, r->name, cells, e);
}

/* ---- health ---- */

static const struct column health_columns[] = {
	{ .head = "NAME", .shrink = true },
	{ .head = "HEALTH" },
	{ .head = "UPTIME", .right = true, .drop = 3 },
	{ .head = "LOAD", .right = true, .drop = 2 },
	{ .head = "MEM FREE", .right = true, .drop = 4 },
	{ .head = "DISK FREE", .right = true, .drop = 5 },
	{ .head = "PROBLEMS", .shrink = true, .drop = 1 },
};

struct health_rows {
	struct rows rows;
	bool degraded;
};

static int add_health(void *arg, const void *result, struct err *e)
{
	struct health_rows *h = arg;
	const struct vm_health *r = result;
	char uptime[HUMAN_MAX];
	char load[HUMAN_MAX];
	char memory[HUMAN_MAX];
	char disk[HUMAN_MAX];
	const char *const cells[] = { r->name, r->state, uptime, load, memory, disk, r->problems };

	human_age(r->guest.uptime_ms / 1000, uptime);
	(void)snprintf(load, sizeof(load), "%llu.%02llu",
		       (unsigned long long)(r->guest.load_milli / 1000),
		       (unsigned long long)(r->guest.load_milli % 1000 / 10));
	human_bytes(r->guest.memory_available_bytes, memory);
	human_bytes(r->guest.disk_available_bytes, disk);
	h->degraded = h->degraded || strcmp(r->state, "healthy") != 0;
	return rows_add(&h->rows, r, r->name, cells, e);
}

/* ---- ports ---- */

static const struct column port_columns[] = {
	{ .head = "VM", .shrink = true },
	{ .head = "PROTO", .drop = 3 },
	{ .head = "ADDRESS", .shrink = true, .drop = 2 },
	{ .head = "PORT", .right = true },
	{ .head = "PROCESS", .shrink = true, .drop = 1 },
	{ .head = "ENDPOINT" },
	{ .head = "HTTP", .right = true, .drop = 4 },
};

enum {
	HTTP_MS = 1000, /* for an endpoint's answer */
};

/* A port with its VM: a row of its own. */
struct port_view {
	char vm[VM_NAME_MAX + 1];
	struct vm_port port;
	uint32_t http_status;
};

static const struct field port_view_fields[] = {
	FIELD(struct port_view, vm, FIELD_STR, true, 0, 0, "its name"),
	FIELD_AS(struct port_view, port.proto, "proto", FIELD_STR, true, 0, 0, "tcp or udp"),
	FIELD_AS(struct port_view, port.address, "address", FIELD_STR, true, 0, 0, "in the guest"),
	FIELD_AS(struct port_view, port.port, "port", FIELD_U32, true, 0, 0, "in the guest"),
	FIELD_AS(struct port_view, port.pid, "pid", FIELD_U32, true, 0, 0, "in the guest"),
	FIELD_AS(struct port_view, port.process, "process", FIELD_TEXT, true, 0, 0, "its name"),
	FIELD_AS(struct port_view, port.endpoint, "endpoint", FIELD_STR, true, 0, 0,
		 "of the host, or empty"),
	FIELD_AS(struct port_view, http_status, "http_status", FIELD_U32, true, 0, 0,
		 "of GET / at the endpoint; 0: it does not speak HTTP"),
};
static const struct schema port_view_schema = SCHEMA("port", struct port_view, port_view_fields);

/* All VMs' ports: they are asked for HTTP at once, then shown. */
struct port_list {
	const struct options *o; /* borrowed */
	struct port_view *v;     /* owned */
	uint32_t n;
};

static int keep_ports(void *arg, const void *result, struct err *e)
{
	struct port_list *l = arg;
	const struct vm_ports *r = result;
	const struct vm_port *ports = r->ports.items;
	struct port_view *v = reallocarray(l->v, l->n + r->ports.n + 1, sizeof(*v));

	if (!v)
		return err_set(e, ERR_HOST_MEMORY, "ports");
	l->v = v;
	for (uint32_t i = 0; i < r->ports.n; i++) {
		v = &l->v[l->n++];
		*v = (struct port_view){ .port = ports[i] };
		(void)snprintf(v->vm, sizeof(v->vm), "%s", r->name);
	}
	if (r->omitted > 0)
		report_note(l->o, "%s: %u more ports are not shown", r->name, r->omitted);
	return 0;
}

/* The port of "127.0.0.1:8080"; 0: there is no endpoint. */
static uint32_t endpoint_port(const struct vm_port *p)
{
	const char *colon = strrchr(p->endpoint, ':');

	return colon ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
}

/* Without memory for it nobody is asked, and the ports are shown all the same. */
static void ask_http(struct port_list *l)
{
	CLEANUP_FREE struct http_probe *probes = calloc(l->n + 1, sizeof(*probes));
	uint32_t n = 0;

	for (uint32_t i = 0; probes && i < l->n; i++)
		if (endpoint_port(&l->v[i].port) != 0)
			probes[n++].port = endpoint_port(&l->v[i].port);
	http_ask(probes, n, HTTP_MS);
	n = 0;
	for (uint32_t i = 0; probes && i < l->n; i++)
		if (endpoint_port(&l->v[i].port) != 0)
			l->v[i].http_status = probes[n++].status;
}

static int add_port(struct rows *rows, const struct port_view *v, struct err *e)
{
	char port[HUMAN_MAX];
	char http[HUMAN_MAX] = "";
	const char *const cells[] = { v->vm, v->port.proto,   v->port.address,
				      port,  v->port.process, v->port.endpoint,
				      http };

	(void)snprintf(port, sizeof(port), "%u", v->port.port);
	if (v->http_status)
		(void)snprintf(http, sizeof(http), "%u", v->http_status);
	return rows_add(rows, v, port, cells, e);
}

/* ---- the commands ---- */

int vm_ping_run(const struct options *o)
{
	struct rows rows;
	int status = rows_init(&rows, o, ping_columns, ARRAY_LEN(ping_columns),
			       &ping_result_schema);

	if (status != 0)
		return status;
	status = each_vm(o, METHOD_VM_PING, add_ping, &rows);
	rows_end(&rows, status == STATUS_USAGE);
	return status;
}

int health_run(const struct options *o)
{
	struct health_rows h = { .degraded = false };
	int status = rows_init(&h.rows, o, health_columns, ARRAY_LEN(health_columns),
			       &vm_health_schema);

	if (status != 0)
		return status;
	status = each_vm(o, METHOD_VM_HEALTH, add_health, &h);
	rows_end(&h.rows, status == STATUS_USAGE);
	return status == STATUS_OK && h.degraded ? STATUS_FAILED : status;
}

int ports_run(const struct options *o)
{
	struct port_list list = { .o = o };
	struct rows rows;
	struct err e = { 0 };
	int status = rows_init(&rows, o, port_columns, ARRAY_LEN(port_columns), &port_view_schema);

	if (status != 0)
		return status;
	status = each_vm(o, METHOD_VM_PORTS, keep_ports, &list);
	if (!o->no_probe)
		ask_http(&list);
	for (uint32_t i = 0; i < list.n && e.code == 0; i++)
		if (add_port(&rows, &list.v[i], &e) < 0) {
			report_error(o, &e, NULL, NULL, NULL);
			status = STATUS_FAILED;
		}
	free(list.v);
	rows_end(&rows, status == STATUS_USAGE);
	return status;
}
