#include "near.h"

#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "base/text.h"
#include "session.h"

enum {
	PAGES_MAX = 8, /* of VMs: a hint is not worth more */
};

typedef void offer_fn(struct session *s, struct suggest *near, char found[REF_MAX + 1]);

/* The suggestion points into a reply that goes: it is copied as soon as it is better. */
static void offer(struct suggest *near, const char *name, char found[REF_MAX + 1])
{
	const char *before = near->best;

	suggest_offer(near, name);
	if (near->best == before)
		return;
	text_copy(found, REF_MAX + 1, near->best);
	near->best = found;
}

static void offer_vms(struct session *s, struct suggest *near, char found[REF_MAX + 1])
{
	struct list_args args = { .all = true };

	for (uint32_t page = 0; page < PAGES_MAX; page++) {
		CLEANUP_CALL struct call c = { 0 };

		if (session_call(s, &c, METHOD_VM_LIST, &args) < 0)
			return;
		const struct list_result *r = c.result;
		const struct vm_view *vms = r->vms.items;

		for (uint32_t i = 0; i < r->vms.n; i++)
			offer(near, vms[i].spec.name, found);
		if (!r->next[0])
			return;
		TEXT_SET(args.after, r->next);
	}
}

static void offer_images(struct session *s, struct suggest *near, char found[REF_MAX + 1])
{
	CLEANUP_CALL struct call c = { 0 };

	if (session_call(s, &c, METHOD_IMAGE_LIST, &(struct none){ 0 }) < 0)
		return;
	const struct image_list_result *r = c.result;
	for (uint32_t i = 0; i < r->images.n; i++)
		offer(near, ((const struct image_view *)r->images.items)[i].name, found);
}

static void offer_kernels(struct session *s, struct suggest *near, char found[REF_MAX + 1])
{
	CLEANUP_CALL struct call c = { 0 };

	if (session_call(s, &c, METHOD_KERNEL_LIST, &(struct none){ 0 }) < 0)
		return;
	const struct kernel_list_result *r = c.result;
	for (uint32_t i = 0; i < r->kernels.n; i++)
		offer(near, ((const struct kernel_view *)r->kernels.items)[i].name, found);
}

static const struct {
	enum err_code code;
	offer_fn *offer;
} kinds[] = {
	{ ERR_VM_NOT_FOUND, offer_vms },
	{ ERR_IMAGE_NOT_FOUND, offer_images },
	{ ERR_KERNEL_NOT_FOUND, offer_kernels },
};

/* The name that was not found stands in the message in quotes. */
static bool quoted(const char *text, char word[REF_MAX + 1])
{
	const char *from = strchr(text, '"');
	const size_t len = from ? strcspn(from + 1, "\"") : 0;

	if (len == 0 || len > REF_MAX || from[1 + len] != '"')
		return false;
	memcpy(word, from + 1, len);
	word[len] = '\0';
	return true;
}

void near_hint(struct session *s, const struct err *e, char *hint, size_t size)
{
	char word[REF_MAX + 1];
	char found[REF_MAX + 1] = "";
	char usual[ERR_TEXT_MAX];
	struct suggest near = { .word = word };

	if (s->lost || s->signo || !quoted(e->text, word))
		return;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].code == e->code)
			kinds[i].offer(s, &near, found);
	if (!found[0])
		return;
	text_copy(usual, sizeof(usual), hint[0] ? hint : err_hint(e->code));
	(void)snprintf(hint, size, "Did you mean \"%s\"? %.160s", found, usual);
}
