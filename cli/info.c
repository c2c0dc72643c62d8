/* info.c - `info`, `ping`, `version` and `daemon start|stop|status`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "human.h"
#include "report.h"
#include "session.h"

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int failed(const struct options *o, const struct err *e)
{
	report_error(o, e, NULL, NULL, NULL);
	return STATUS_FAILED;
}

static void put_info(const struct info_result *i)
{
	char started[HUMAN_MAX];
	char host[HUMAN_MAX];
	char memory[HUMAN_MAX];
	char disk[HUMAN_MAX];

	human_time(i->started_ms, started);
	human_bytes(i->memory_bytes, host);
	human_bytes(i->vm_memory_bytes, memory);
	human_bytes(i->vm_disk_bytes, disk);
	(void)printf("version     %s (pid %u, since %s)\n", i->version, i->pid, started);
	(void)printf("vmm         %s: %s\n", i->vmm, i->vmm_reason);
	(void)printf("accel       %s%s%s\n", i->accel, i->accel[0] ? ": " : "", i->accel_reason);
	(void)printf("host        %u CPUs, %s memory\n", i->cpus, host);
	(void)printf("VMs         %u, %u running, %u starting (at most %u at once), %u waiting\n",
		     i->vms, i->running, i->starting, i->starts_max, i->waiting);
	(void)printf("images      %u, kernels %u\n", i->images, i->kernels);
	(void)printf("new VMs     %u vcpu, %s memory, %s disk\n", i->vcpu, memory, disk);
	(void)printf("limits      %s\n", i->limits[0] ? i->limits : "none");
	(void)printf("leaks       %llu\n", (unsigned long long)i->leaks);
	(void)printf("state       %s\nruntime     %s\n", i->state_dir, i->runtime_dir);
}

int info_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct err e = { 0 };
	const int status = session_ask(o, &c, METHOD_INFO, &(struct info_args){ 0 });

	if (status != 0)
		return status;
	if (o->json)
		return report_json(&info_result_schema, c.result, &e) < 0 ? failed(o, &e)
									  : STATUS_OK;
	put_info(c.result);
	return STATUS_OK;
}

struct ping_view {
	char daemon[WIRE_NAME_MAX];
	uint64_t round_trip_us;
};

static const struct field ping_fields[] = {
	FIELD(struct ping_view, daemon, FIELD_STR, true, 0, 0, "who answered"),
	FIELD(struct ping_view, round_trip_us, FIELD_U64, true, 0, 0, "request to reply"),
};
static const struct schema ping_schema = SCHEMA("ping", struct ping_view, ping_fields);

int ping_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { .op_id = o->op_id };
	struct ping_view v = { 0 };
	char took[HUMAN_MAX];
	struct err e = { 0 };
	uint64_t began;

	if (session_open(&s, o, true, &e) < 0)
		return failed(o, &e);
	began = now_us();
	if (session_call(&s, &c, METHOD_PING, &(struct none){ 0 }) < 0)
		return session_report(&s, &c);
	v.round_trip_us = now_us() - began;
	(void)snprintf(v.daemon, sizeof(v.daemon), "%s", s.server);
	if (o->json)
		return report_json(&ping_schema, &v, &e) < 0 ? failed(o, &e) : STATUS_OK;
	human_duration(v.round_trip_us, took);
	(void)printf("%s answered in %s\n", v.daemon, took);
	return STATUS_OK;
}

struct version_view {
	char client[WIRE_NAME_MAX];
	char daemon[WIRE_NAME_MAX]; /* "": none runs */
	uint32_t protocol;
};

static const struct field version_fields[] = {
	FIELD(struct version_view, client, FIELD_STR, true, 0, 0, "this program"),
	FIELD(struct version_view, daemon, FIELD_STR, true, 0, 0, "the daemon that runs, or empty"),
	FIELD(struct version_view, protocol, FIELD_U32, true, 0, 0, "highest spoken by us"),
};
static const struct schema version_schema = SCHEMA("version", struct version_view, version_fields);

int version_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct version_view v = { .client = "banger/" BANGER_VERSION, .protocol = WIRE_VERSION };
	struct err e = { 0 };

	if (session_open(&s, o, false, &e) == 0)
		(void)snprintf(v.daemon, sizeof(v.daemon), "%s", s.server);
	if (o->json)
		return report_json(&version_schema, &v, &e) < 0 ? failed(o, &e) : STATUS_OK;
	(void)printf("banger %s\n", BANGER_VERSION);
	if (v.daemon[0])
		(void)printf("daemon %s\n", v.daemon);
	else
		(void)printf("daemon does not run\n");
	return STATUS_OK;
}

int daemon_start_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct err e = { 0 };

	if (session_open(&s, o, true, &e) < 0)
		return failed(o, &e);
	report_note(o, "the daemon runs (%s)", s.server);
	return STATUS_OK;
}

int daemon_status_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { 0 };
	struct err e = { 0 };

	if (session_open(&s, o, false, &e) < 0)
		return failed(o, &e);
	if (session_call(&s, &c, METHOD_INFO, &(struct info_args){ 0 }) < 0)
		return session_report(&s, &c);
	if (o->json)
		return report_json(&info_result_schema, c.result, &e) < 0 ? failed(o, &e)
									  : STATUS_OK;
	if (!o->quiet)
		put_info(c.result);
	return STATUS_OK;
}

int daemon_stop_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { .op_id = o->op_id };
	struct err e = { 0 };

	if (session_open(&s, o, false, &e) < 0) {
		if (e.sys != ENOENT && e.sys != ECONNREFUSED)
			return failed(o, &e);
		report_note(o, "the daemon does not run");
		return STATUS_OK;
	}
	if (session_call(&s, &c, METHOD_SHUTDOWN, &(struct none){ 0 }) < 0)
		return session_report(&s, &c);
	while (!s.lost) /* it is gone when its end of the connection is; an interrupt leaves */
		session_turn(&s, NULL, 0);
	report_note(o, "the daemon has ended; VMs run on");
	return STATUS_OK;
}
