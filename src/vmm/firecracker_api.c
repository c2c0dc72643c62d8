/* firecracker_api.c - the conversation with Firecracker's API socket: HTTP/1.1, JSON bodies.
 *
 *   we                                     Firecracker
 *   PATCH /vm {"state":"Paused"}           204
 *   GET /                                  200 {"state":"Paused",...}
 *   PUT /actions {...}                     400 {"fault_message":"..."}
 *
 * Answers come in the order of the requests; there are no ids and no events.  Firecracker runs next
 * to a hostile guest, so what it says is bounded and checked like any foreign bytes.
 */
#include <assert.h>
#include <errno.h>
#include <http_parser.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "vmm/firecracker.h"
#include "vmm/memory.h"

enum {
	BODY_MAX = 384,
	REQUEST_MAX = 640, /* bytes of the longest one that we send */
};

/* clang-format off */
static const struct {
	const char *method;
	const char *path;
	const char *body;
} requests[] = {
	[VMM_CALL_POWERDOWN] = { "PUT",   "/actions", "{\"action_type\":\"SendCtrlAltDel\"}" },
	[VMM_CALL_QUIT]      = { NULL,    NULL,       NULL }, /* by a signal alone */
	[VMM_CALL_LIMIT]     = { NULL,    NULL,       NULL },
	[VMM_CALL_STATUS]    = { "GET",   "/",        "" },
	[VMM_CALL_PAUSE]     = { "PATCH", "/vm",      "{\"state\":\"Paused\"}" },
	[VMM_CALL_RESUME]    = { "PATCH", "/vm",      "{\"state\":\"Resumed\"}" },
	[VMM_CALL_MEMORY]    = { "GET",   "/balloon/statistics", "" },
};
/* clang-format on */
static_assert(ARRAY_LEN(requests) == VMM_NCALLS, "each call has its request");

/* The client speaks first, and there is nothing to agree on. */
int firecracker_greet(struct buf *out)
{
	(void)out;
	return 0;
}

static int request(const char *method, const char *path, const char *body, struct buf *out)
{
	char text[REQUEST_MAX];
	const int n = body[0] ? snprintf(text, sizeof(text),
					 "%s %s HTTP/1.1\r\nHost: localhost\r\n"
					 "Content-Type: application/json\r\n"
					 "Content-Length: %zu\r\n\r\n%s",
					 method, path, strlen(body), body)
			      : snprintf(text, sizeof(text),
					 "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path);

	ASSERT(n > 0);
	ASSERT(n < REQUEST_MAX);
	return buf_append(out, text, (size_t)n);
}

int firecracker_call(enum vmm_call call, uint32_t id, struct buf *out)
{
	(void)id;
	ASSERT((size_t)call < ARRAY_LEN(requests));
	if (!requests[call].method)
		return -EOPNOTSUPP;
	return request(requests[call].method, requests[call].path, requests[call].body, out);
}

/* A bucket of size 0 is none: unlike one that is not named, it takes away what was there. */
#define BUCKET    "{\"size\":%" PRIu64 ",\"refill_time\":%d}"
#define NET_LIMIT "{\"bandwidth\":" BUCKET "}"

static int limit_drive(const char *path, const char *drive, const struct vmm_limits *l,
		       struct buf *out)
{
	char body[BODY_MAX];
	const int n = snprintf(body, sizeof(body),
			       "{\"drive_id\":\"%s\",\"rate_limiter\":{\"bandwidth\":" BUCKET
			       ",\"ops\":" BUCKET "}}",
			       drive, l->disk_rate, FIRECRACKER_FILL_MS, (uint64_t)l->disk_iops,
			       FIRECRACKER_FILL_MS);

	ASSERT(n < BODY_MAX);
	return request("PATCH", path, body, out);
}

static int limit_net(const struct vmm_limits *l, struct buf *out)
{
	char body[BODY_MAX];
	const int n = snprintf(body, sizeof(body),
			       "{\"iface_id\":\"" FIRECRACKER_NET
			       "\",\"rx_rate_limiter\":" NET_LIMIT ",\"tx_rate_limiter\":" NET_LIMIT
			       "}",
			       l->net_rate, FIRECRACKER_FILL_MS, l->net_rate, FIRECRACKER_FILL_MS);

	ASSERT(n < BODY_MAX);
	return request("PATCH", "/network-interfaces/" FIRECRACKER_NET, body, out);
}

int firecracker_limit(enum vmm_limited device, const struct vmm_limits *l, uint32_t id,
		      struct buf *out)
{
	(void)id;
	switch (device) {
	case VMM_LIMITED_BASE:
		return limit_drive("/drives/" FIRECRACKER_BASE, FIRECRACKER_BASE, l, out);
	case VMM_LIMITED_DISK:
		return limit_drive("/drives/" FIRECRACKER_DISK, FIRECRACKER_DISK, l, out);
	case VMM_LIMITED_NET:
		return limit_net(l, out);
	case VMM_NLIMITED:
		break;
	}
	return -EOPNOTSUPP;
}

/* ---- an answer ---- */

struct message {
	const char *body; /* in the caller's bytes; NULL: none */
	size_t body_len;
	bool in_parts; /* chunked, which Firecracker does not do */
	bool whole;
};

static int on_body(http_parser *p, const char *at, size_t len)
{
	struct message *m = p->data;

	m->in_parts = m->in_parts || (p->flags & F_CHUNKED) != 0;
	m->body = at;
	m->body_len = len;
	return 0;
}

/* What follows is another answer. */
static int on_message_complete(http_parser *p)
{
	struct message *m = p->data;

	m->whole = true;
	http_parser_pause(p, 1);
	return 0;
}

/* The length of the answer at the front of `data`; 0: more is needed. */
static int message_take(const uint8_t *data, size_t len, http_parser *p, struct message *m,
			struct err *e)
{
	static const http_parser_settings on = {
		.on_body = on_body,
		.on_message_complete = on_message_complete,
	};
	const size_t look = len < VMM_ANSWER_MAX ? len : VMM_ANSWER_MAX;

	http_parser_init(p, HTTP_RESPONSE);
	p->data = m;
	const size_t took = http_parser_execute(p, &on, (const char *)data, look);
	const enum http_errno why = HTTP_PARSER_ERRNO(p);

	if (why != HPE_OK && why != HPE_PAUSED)
		return err_set(e, ERR_VMM_PROTOCOL, "firecracker: api: %s",
			       http_errno_description(why));
	if (p->upgrade || m->in_parts)
		return err_set(e, ERR_VMM_PROTOCOL, "firecracker: api: not a plain answer");
	if (!m->whole && look == VMM_ANSWER_MAX)
		return err_set(e, ERR_VMM_PROTOCOL,
			       "firecracker: api: an answer of more than %d bytes", VMM_ANSWER_MAX);
	return m->whole ? (int)took : 0;
}

/* Its state, or why it refuses; the HTTP server in front of it has a name of its own for the
 * latter. */
static void answer_read(const struct message *m, struct vmm_answer *a)
{
	static const char *const names[] = { "state", "fault_message", "error" };
	static const char *const parts[] = {
		[VMM_MEMORY_TOTAL] = "total_memory",
		[VMM_MEMORY_FREE] = "free_memory",
		[VMM_MEMORY_AVAILABLE] = "available_memory",
		[VMM_MEMORY_CACHE] = "disk_caches",
		[VMM_MEMORY_SWAPPED_IN] = "swap_in",
		[VMM_MEMORY_SWAPPED_OUT] = "swap_out",
		[VMM_MEMORY_MAJOR_FAULTS] = "major_faults",
		[VMM_MEMORY_MINOR_FAULTS] = "minor_faults",
	};
	static_assert(ARRAY_LEN(parts) == VMM_NMEMORY, "each part has its name");
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
	json_t *object = m->body ? json_loadb(m->body, m->body_len, flags, NULL) : NULL;
	const char *text = NULL;

	for (size_t i = a->ok ? 0 : 1; !text && i < ARRAY_LEN(names); i++)
		text = json_string_value(json_object_get(object, names[i]));
	vmm_answer_say(a, text);
	memory_take(&a->memory, object, parts);
	json_decref(object);
}

int firecracker_parse(const uint8_t *data, size_t len, struct vmm_answer *ret_answer, struct err *e)
{
	struct vmm_answer answer = { .event = VMM_EVENT_REPLY };
	struct message m = { 0 };
	http_parser p;

	if (len == 0)
		return 0;
	const int rc = message_take(data, len, &p, &m, e);
	if (rc <= 0)
		return rc;
	answer.ok = p.status_code >= 200 && p.status_code < 300;
	answer_read(&m, &answer);
	if (!answer.ok && !answer.text[0])
		(void)snprintf(answer.text, sizeof(answer.text), "HTTP status %u", p.status_code);
	*ret_answer = answer;
	return rc;
}
