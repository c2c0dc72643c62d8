/* nl.h - netlink messages, several in one call, without a heap.  libmnl writes the attributes.
 *
 *   nl_begin(nl);
 *   m = nl_msg(nl, RTM_SETLINK, 0, "up");          one or more, in order
 *   mnl_attr_put_u32(m, ...);
 *   rc = nl_run(nl, "tap bg-7f3a", e);             sends them, takes every answer
 *
 * The kernel has answered all of them when send() returns, and fills the next part of a dump when
 * one has been read, so nothing here waits.
 * Messages of one call are done in order, and a failing one does not stop the next.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum {
	NL_BATCH_MAX = 40, /* messages of one call */
	NL_OUT_BYTES = 16384,
	NL_IN_BYTES = 32768, /* what the kernel fills at most per datagram of a dump */
	NL_MSG_ROOM = 1024,  /* that each message may take */
};

/* libmnl's own loops do not pass -Wconversion. */
static inline int nl_left(const void *at, const void *end)
{
	return (int)((const char *)end - (const char *)at);
}

static inline const void *nl_nest_end(const struct nlattr *nest)
{
	return (const char *)mnl_attr_get_payload(nest) + mnl_attr_get_payload_len(nest);
}

#define nl_for_each(a, m, offset)                                                                  \
	for (const struct nlattr *a = mnl_nlmsg_get_payload_offset(m, offset);                     \
	     mnl_attr_ok(a, nl_left(a, mnl_nlmsg_get_payload_tail(m))); a = mnl_attr_next(a))

#define nl_for_each_nested(a, nest)                                                                \
	for (const struct nlattr *a = mnl_attr_get_payload(nest);                                  \
	     mnl_attr_ok(a, nl_left(a, nl_nest_end(nest))); a = mnl_attr_next(a))

struct nl {
	int fd;         /* owned */
	uint32_t seq;   /* of the last message */
	uint32_t first; /* of the batch */
	uint32_t n;     /* messages in the batch */
	uint32_t acks;  /* of them are acknowledged */
	const char *what[NL_BATCH_MAX];
	struct nlmsghdr *last;
	size_t used;
	union {
		struct nlmsghdr head; /* for its alignment */
		uint8_t bytes[NL_OUT_BYTES];
	} out;
	union {
		struct nlmsghdr head;
		uint8_t bytes[NL_IN_BYTES];
	} in;
};

/* One message of an answer; what it returns under 0 ends the call. */
typedef int nl_each(const struct nlmsghdr *m, void *arg);

int nl_open(struct nl *nl, int protocol,
	    struct err *e) MUST_CHECK; /* before the worker is confined */

void nl_begin(struct nl *nl);
/* A message that is acknowledged; `what` is a constant, for the error. */
struct nlmsghdr *nl_msg(struct nl *nl, uint16_t type, uint16_t flags, const char *what);
/* One that is answered only when it fails: the brackets of a transaction. */
struct nlmsghdr *nl_bracket(struct nl *nl, uint16_t type, const char *what);

/* -errno of the first message that failed; `subject` names what they were about. */
int nl_run(struct nl *nl, const char *subject, struct err *e) MUST_CHECK;

/* Sends the batch's only message, a question that changes nothing, and hands every answer to
 * each(). Does not count as an effect. */
int nl_ask(struct nl *nl, nl_each *each, void *arg) MUST_CHECK;
