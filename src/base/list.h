/* list.h - intrusive doubly linked list, circular with a head.
 *
 * The list never owns its members.  A node that is on no list is zeroed, so membership can be asked
 * (list_linked) and a double insertion is caught.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/macros.h"

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

struct list {
	struct list_node head;
};

static inline void list_init(struct list *l)
{
	l->head.next = &l->head;
	l->head.prev = &l->head;
}

static inline bool list_linked(const struct list_node *n)
{
	return n->next != NULL;
}

static inline bool list_empty(const struct list *l)
{
	return l->head.next == &l->head;
}

static inline void list_append(struct list *l, struct list_node *n)
{
	ASSERT(!list_linked(n));
	n->prev = l->head.prev;
	n->next = &l->head;
	l->head.prev->next = n;
	l->head.prev = n;
}

static inline void list_prepend(struct list *l, struct list_node *n)
{
	ASSERT(!list_linked(n));
	n->next = l->head.next;
	n->prev = &l->head;
	l->head.next->prev = n;
	l->head.next = n;
}

/* Takes the node off whatever list it is on; no-op when it is on none. */
static inline void list_remove(struct list_node *n)
{
	if (!list_linked(n))
		return;
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = NULL;
	n->prev = NULL;
}

static inline struct list_node *list_first(const struct list *l)
{
	return list_empty(l) ? NULL : l->head.next;
}

/* Removes and returns the oldest node, or NULL. */
static inline struct list_node *list_pop(struct list *l)
{
	struct list_node *n = list_first(l);

	if (n)
		list_remove(n);
	return n;
}

/* Moves every node of `from` to the end of `to`, keeping their order. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->head.next->prev = to->head.prev;
	to->head.prev->next = from->head.next;
	from->head.prev->next = &to->head;
	to->head.prev = from->head.prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)

#define list_for_each(n, l) for (struct list_node *n = (l)->head.next; n != &(l)->head; n = n->next)

/* As above, and the body may remove `n` (and nothing else). */
#define list_for_each_safe(n, l)                                                                   \
	for (struct list_node *n = (l)->head.next, *n##_next = n->next; n != &(l)->head;           \
	     n = n##_next, n##_next = n->next)
