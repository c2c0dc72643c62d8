/* guest.c - `vm ping`, `vm health`, `vm ports`: what guests say of themselves. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "each.h"
#include "human.h"
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
};

/* A port with its VM: a row of its own. */
struct port_view {
	char vm[VM_NAME_MAX + 1];
	struct vm_port port;
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
};
static const struct schema port_view_schema = SCHEMA("port", struct port_view, port_view_fields);

static int add_ports(void *arg, const void *result, struct err *e)
{
	const struct vm_ports *r = result;
	const struct vm_port *ports = r->ports.items;
	int rc = 0;

	for (uint32_t i = 0; i < r->ports.n && rc == 0; i++) {
		struct port_view v = { .port = ports[i] };
		char port[HUMAN_MAX];
		const char *const cells[] = { r->name, v.port.proto,   v.port.address,
					      port,    v.port.process, v.port.endpoint };

		(void)snprintf(v.vm, sizeof(v.vm), "%s", r->name);
		(void)snprintf(port, sizeof(port), "%u", v.port.port);
		rc = rows_add(arg, &v, port, cells, e);
	}
	return rc;
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
	struct rows rows;
	int status = rows_init(&rows, o, port_columns, ARRAY_LEN(port_columns), &port_view_schema);

	if (status != 0)
		return status;
	status = each_vm(o, METHOD_VM_PORTS, add_ports, &rows);
	rows_end(&rows, status == STATUS_USAGE);
	return status;
}
