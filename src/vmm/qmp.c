/* qmp.c - QEMU's machine protocol: one JSON object a line, both ways.
 *
 *   QEMU                                   we
 *   {"QMP": {...}}                         {"execute": "qmp_capabilities", "id": 0}
 *   {"return": {}, "id": 0}                {"execute": "query-status", "id": 1}
 *   {"return": {"status": ...}, "id": 1}   ...
 *   {"event": "SHUTDOWN", ...}
 *
 * We need not wait for the greeting before we speak.  QEMU runs next to a hostile guest, so what it
 * says is bounded and checked like any foreign bytes.  docs/interop/qmp-spec.txt of QEMU.
 */
#include "vmm/qmp.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "vmm/memory.h"

enum {
	CAPABILITIES_ID = 0,
	COMMAND_MAX = 320, /* bytes of the longest command that we send */
};

/* What it has to do, and its arguments or NULL. */
struct command {
	const char *name;
	const char *arguments;
};

static const struct command commands[] = {
	[VMM_CALL_POWERDOWN] = { "system_powerdown", NULL },
	[VMM_CALL_QUIT] = { "quit", NULL },
	[VMM_CALL_STATUS] = { "query-status", NULL },
	[VMM_CALL_PAUSE] = { "stop", NULL },
	[VMM_CALL_RESUME] = { "cont", NULL },
	[VMM_CALL_LIMIT] = { NULL, NULL },
	[VMM_CALL_MEMORY] = { "qom-get", "{\"path\":\"/machine/peripheral/" QEMU_BALLOON
					 "\",\"property\":\"guest-stats\"}" },
};
static_assert(ARRAY_LEN(commands) == VMM_NCALLS, "each call has its command");

static int command(const struct command *c, uint32_t id, struct buf *out)
{
	char line[COMMAND_MAX];
	const int n = snprintf(line, sizeof(line), "{\"execute\":\"%s\"%s%s,\"id\":%u}\n", c->name,
			       c->arguments ? ",\"arguments\":" : "",
			       c->arguments ? c->arguments : "", id);

	ASSERT(n > 0);
	ASSERT(n < COMMAND_MAX);
	return buf_append(out, line, (size_t)n);
}

int qmp_greet(struct buf *out)
{
	static const struct command capabilities = { "qmp_capabilities", NULL };

	return command(&capabilities, CAPABILITIES_ID, out);
}

int qmp_call(enum vmm_call call, uint32_t id, struct buf *out)
{
	ASSERT((size_t)call < ARRAY_LEN(commands));
	ASSERT(id != CAPABILITIES_ID);
	return commands[call].name ? command(&commands[call], id, out) : -EOPNOTSUPP;
}

int qmp_limit(enum vmm_limited device, const struct vmm_limits *l, uint32_t id, struct buf *out)
{
	char arguments[COMMAND_MAX / 2];
	const struct command c = { "qom-set", arguments };

	if (device != VMM_LIMITED_DISK)
		return -EOPNOTSUPP;
	const int n = snprintf(arguments, sizeof(arguments),
			       "{\"path\":\"/objects/" QEMU_LIMITS
			       "\",\"property\":\"limits\",\"value\":{"
			       "\"bps-total\":%" PRIu64 ",\"iops-total\":%" PRIu32 "}}",
			       l->disk_rate, l->disk_iops);
	ASSERT((size_t)n < sizeof(arguments));
	return command(&c, id, out);
}

static int take_event(const json_t *event, const json_t *object, struct vmm_answer *a,
		      struct err *e)
{
	const char *name = json_string_value(event);
	const json_t *data = json_object_get(object, "data");

	if (!name)
		return err_set(e, ERR_VMM_PROTOCOL, "qmp: an event without a name");
	if (strcmp(name, "SHUTDOWN") != 0)
		return 0;
	a->event = VMM_EVENT_SHUTDOWN;
	vmm_answer_say(a, json_string_value(json_object_get(data, "reason")));
	return 0;
}

/* "stat-free-memory" and its like; docs/virtio-balloon-stats.txt of QEMU. */
static void take_memory(const json_t *stats, struct vmm_memory *m)
{
	static const char *const parts[] = {
		[VMM_MEMORY_TOTAL] = "stat-total-memory",
		[VMM_MEMORY_FREE] = "stat-free-memory",
		[VMM_MEMORY_AVAILABLE] = "stat-available-memory",
		[VMM_MEMORY_CACHE] = "stat-disk-caches",
		[VMM_MEMORY_SWAPPED_IN] = "stat-swap-in",
		[VMM_MEMORY_SWAPPED_OUT] = "stat-swap-out",
		[VMM_MEMORY_MAJOR_FAULTS] = "stat-major-faults",
		[VMM_MEMORY_MINOR_FAULTS] = "stat-minor-faults",
	};
	static_assert(ARRAY_LEN(parts) == VMM_NMEMORY, "each part has its name");

	memory_take(m, stats, parts);
}

static int take_reply(const json_t *object, struct vmm_answer *a, struct err *e)
{
	const json_t *id = json_object_get(object, "id");
	const json_t *error = json_object_get(object, "error");
	const json_t *result = json_object_get(object, "return");
	const double number = json_number_value(id);

	if (!json_is_number(id) || number < 0 || number > UINT32_MAX)
		return err_set(e, ERR_VMM_PROTOCOL, "qmp: a reply to nothing that was asked");
	a->event = VMM_EVENT_REPLY;
	a->id = (uint32_t)number;
	a->ok = !error;
	if (error)
		vmm_answer_say(a, json_string_value(json_object_get(error, "desc")));
	else
		vmm_answer_say(a, json_string_value(json_object_get(result, "status")));
	take_memory(json_object_get(result, "stats"), &a->memory);
	if (a->id != CAPABILITIES_ID)
		return 0;
	if (error)
		return err_set(e, ERR_VMM_PROTOCOL, "qmp: qmp_capabilities: %s", a->text);
	a->event = VMM_EVENT_GREETING;
	return 0;
}

static int take_object(const json_t *object, struct vmm_answer *a, struct err *e)
{
	const json_t *event = json_object_get(object, "event");

	if (event)
		return take_event(event, object, a, e);
	if (json_object_get(object, "return") || json_object_get(object, "error"))
		return take_reply(object, a, e);
	if (json_object_get(object, "QMP"))
		return 0; /* open once qmp_capabilities is granted, not yet */
	return err_set(e, ERR_VMM_PROTOCOL, "qmp: neither greeting, reply nor event");
}

static int take_line(const uint8_t *line, size_t len, struct vmm_answer *a, struct err *e)
{
	json_error_t why;
	json_t *object = json_loadb((const char *)line, len,
				    JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);

	if (!object)
		return err_set(e, ERR_VMM_PROTOCOL, "qmp: %s at byte %d", why.text, why.position);
	const int rc = json_is_object(object) ? take_object(object, a, e)
					      : err_set(e, ERR_VMM_PROTOCOL, "qmp: not an object");
	json_decref(object);
	return rc;
}

int qmp_parse(const uint8_t *data, size_t len, struct vmm_answer *ret_answer, struct err *e)
{
	const size_t look = len < VMM_ANSWER_MAX ? len : VMM_ANSWER_MAX;
	const uint8_t *end = look ? memchr(data, '\n', look) : NULL;
	struct vmm_answer answer = { .event = VMM_EVENT_NONE };

	if (!end && look == VMM_ANSWER_MAX)
		return err_set(e, ERR_VMM_PROTOCOL, "qmp: a line of more than %d bytes",
			       VMM_ANSWER_MAX);
	if (!end)
		return 0;
	const int rc = take_line(data, (size_t)(end - data), &answer, e);
	if (rc < 0)
		return rc;
	*ret_answer = answer;
	return (int)(end - data) + 1;
}
