#include "actors/msg.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actors/env.h"
#include "actors/limits.h"
#include "base/text.h"

static void drop_owned(struct msg *m)
{
	free(m);
}

static void drop_chunk(struct msg *m)
{
	struct chunk_msg *c = container_of(m, struct chunk_msg, msg);

	c->env->chunk_bytes -= sizeof(*c) + c->len;
	free(c);
}

void msg_free(struct msg *m)
{
	if (m->drop == drop_owned || m->drop == drop_chunk)
		m->drop(m);
}

static_assert(offsetof(struct serial_msg, msg) == 0, "drop_owned() frees the message's address");
static_assert(offsetof(struct vm_changed_msg, msg) == 0,
	      "drop_owned() frees the message's address");
static_assert(offsetof(struct event_msg, msg) == 0, "drop_owned() frees the message's address");
static_assert(offsetof(struct vmm_said_msg, msg) == 0, "drop_owned() frees the message's address");

struct serial_msg *serial_make(enum msg_type type, uint64_t serial, struct actor_id from)
{
	struct serial_msg *m = calloc(1, sizeof(*m));

	if (m)
		*m = (struct serial_msg){
			.msg = { .type = type, .drop = drop_owned },
			.serial = serial,
			.from = from,
		};
	return m;
}

struct vmm_said_msg *said_make(const struct vmm_answer *answer)
{
	struct vmm_said_msg *m = malloc(sizeof(*m));

	if (m)
		*m = (struct vmm_said_msg){
			.msg = { .type = MSG_VMM_SAID, .drop = drop_owned },
			.answer = *answer,
		};
	return m;
}

void post_cancel(struct actors *s, struct actor_id to, struct serial_msg *m, uint64_t serial,
		 struct actor_id from)
{
	if (list_linked(&m->msg.link))
		return;
	*m = (struct serial_msg){ .msg = { .type = MSG_CANCEL }, .serial = serial, .from = from };
	actor_post(s, to, &m->msg);
}

void cancel_fini(struct serial_msg *m)
{
	list_remove(&m->msg.link);
}

int post_chunk(struct env *env, struct actor_id to, const struct chunk_msg *head,
	       const uint8_t *data)
{
	struct chunk_msg *m = malloc(sizeof(*m) + head->len);

	if (!m)
		return -ENOMEM;
	*m = *head;
	m->msg = (struct msg){ .type = MSG_CHUNK, .drop = drop_chunk };
	m->env = env;
	if (head->len > 0)
		memcpy(m->data, data, head->len);
	env->chunk_bytes += sizeof(*m) + head->len;
	actor_post(env->actors, to, &m->msg);
	return 0;
}

bool chunks_crowd(const struct env *env)
{
	return env->chunk_bytes > CHUNKS_BYTES_MAX;
}

int post_event(struct actors *s, struct actor_id to, uint64_t serial, const char *name,
	       const uint8_t *body, size_t len)
{
	struct event_msg *m = malloc(sizeof(*m) + len);

	if (!m)
		return -ENOMEM;
	*m = (struct event_msg){
		.msg = { .type = MSG_EVENT, .drop = drop_owned },
		.serial = serial,
		.name = name,
		.len = len,
	};
	memcpy(m->body, body, len);
	actor_post(s, to, &m->msg);
	return 0;
}

int post_vm_changed(struct actors *s, struct actor_id to, vm_id vm, const char *name,
		    uint32_t state, const struct op_id *op_id)
{
	struct vm_changed_msg *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->msg = (struct msg){ .type = MSG_VM_CHANGED, .drop = drop_owned };
	m->vm = vm;
	m->state = state;
	if (op_id)
		m->op_id = *op_id;
	TEXT_SET(m->name, name);
	actor_post(s, to, &m->msg);
	return 0;
}
