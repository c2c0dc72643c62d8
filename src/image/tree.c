#include "image/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"

static uint64_t name_hash(const struct tree_node *dir, const char *name, size_t len)
{
	return map_hash_bytes(name, len) ^ map_hash_u64((uint64_t)(uintptr_t)dir);
}

static struct tree_node *node_create(enum tree_kind kind, const char *name, size_t len)
{
	struct tree_node *n = calloc(1, sizeof(*n) + len + 1);

	if (!n)
		return NULL;
	n->kind = kind;
	n->len = (uint8_t)len;
	memcpy(n->name, name, len);
	list_init(&n->children);
	return n;
}

static void node_destroy(struct tree_node *n)
{
	if (!n)
		return;
	free(n->target);
	free(n);
}

int tree_init(struct tree *t, struct err *e)
{
	*t = (struct tree){ 0 };
	map_init(&t->names);
	t->root = node_create(TREE_DIR, "", 0);
	if (!t->root)
		return err_set(e, ERR_HOST_MEMORY, "no memory for the image's names");
	t->root->parent = t->root;
	return 0;
}

void tree_fini(struct tree *t)
{
	struct tree_node *n = t->root;

	/* Down to a leaf, free it, back to its parent: no recursion on a foreign depth. */
	while (n) {
		struct list_node *child = list_first(&n->children);

		if (child) {
			n = list_entry(child, struct tree_node, link);
			continue;
		}
		struct tree_node *up = n == t->root ? NULL : n->parent;

		list_remove(&n->link);
		node_destroy(n);
		n = up;
	}
	t->root = NULL;
	map_fini(&t->names);
}

struct tree_node *tree_child(const struct tree *t, const struct tree_node *dir, const char *name,
			     size_t len)
{
	struct map_node *m = map_find(&t->names, name_hash(dir, name, len));

	for (; m; m = map_find_next(m)) {
		struct tree_node *n = container_of(m, struct tree_node, by_name);

		if (n->parent == dir && n->len == len && memcmp(n->name, name, len) == 0)
			return n;
	}
	return NULL;
}

int tree_add(struct tree *t, struct tree_node *dir, const char *name, size_t len,
	     enum tree_kind kind, const char *target, struct tree_node **ret_node, struct err *e)
{
	ASSERT(dir->kind == TREE_DIR);
	ASSERT(len > 0);
	ASSERT(len <= TREE_NAME_MAX);
	ASSERT((kind == TREE_SYMLINK) == (target != NULL));
	if (t->nodes >= TREE_NODES_MAX)
		return err_set(e, ERR_IMAGE_BAD, "more than %d entries", TREE_NODES_MAX);
	if (dir->depth >= TREE_DEPTH_MAX)
		return err_set(e, ERR_IMAGE_BAD, "more than %d directories deep", TREE_DEPTH_MAX);

	struct tree_node *n = node_create(kind, name, len);

	if (!n)
		goto no_memory;
	n->parent = dir;
	n->depth = dir->depth + 1;
	if (target) {
		n->target = strdup(target);
		if (!n->target)
			goto no_memory;
	}
	if (map_insert(&t->names, &n->by_name, name_hash(dir, name, len)) < 0)
		goto no_memory;
	list_append(&dir->children, &n->link);
	t->nodes++;
	*ret_node = n;
	return 0;
no_memory:
	node_destroy(n);
	return err_set(e, ERR_HOST_MEMORY, "no memory for the image's names");
}

void tree_remove(struct tree *t, struct tree_node *n)
{
	ASSERT(n != t->root);
	ASSERT(list_empty(&n->children));
	list_remove(&n->link);
	map_remove(&t->names, &n->by_name);
	t->nodes--;
	node_destroy(n);
}

struct tree_node *tree_next(const struct tree *t, struct tree_node *n)
{
	struct list_node *child = list_first(&n->children);

	if (child)
		return list_entry(child, struct tree_node, link);
	for (; n != t->root; n = n->parent) {
		if (n->link.next != &n->parent->children.head)
			return list_entry(n->link.next, struct tree_node, link);
	}
	return NULL;
}

/* The next component of *path, skipping slashes and "."; its length is 0 at the end. */
static const char *component(const char **path, size_t *ret_len)
{
	const char *p = *path;
	size_t len;

	for (;;) {
		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len != 1 || *p != '.')
			break;
		p++;
	}
	*path = p + len;
	*ret_len = len;
	return p;
}

int tree_check_path(const char *path, struct err *e)
{
	const size_t len = strlen(path);
	const char *p = path;
	size_t n;

	if (len == 0)
		return err_set(e, ERR_IMAGE_BAD, "empty name");
	if (len > TREE_PATH_MAX)
		return err_set(e, ERR_IMAGE_BAD, "name longer than %d bytes", TREE_PATH_MAX);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)path[i] < ' ' || path[i] == 0x7f)
			return err_set(e, ERR_IMAGE_BAD, "control byte in the name");
	}
	for (;;) {
		const char *part = component(&p, &n);

		if (n == 0)
			return 0;
		if (n == 2 && memcmp(part, "..", 2) == 0)
			return err_set(e, ERR_IMAGE_BAD, "\"..\" in the name");
		if (n > TREE_NAME_MAX)
			return err_set(e, ERR_IMAGE_BAD, "component longer than %d bytes",
				       TREE_NAME_MAX);
	}
}

/* Makes the text "target/rest", where rest lies inside it. */
static int splice(char text[TREE_PATH_MAX + 2], const char *rest, const char *target, struct err *e)
{
	const size_t target_len = strlen(target);
	const size_t rest_len = strlen(rest);

	if (target_len + rest_len > TREE_PATH_MAX)
		return err_set(e, ERR_IMAGE_BAD, "name too long after following symlinks");
	memmove(text + target_len + 1, rest, rest_len + 1);
	memcpy(text, target, target_len);
	text[target_len] = '/';
	return 0;
}

static void place_name(struct tree_place *place, const char *part, size_t len)
{
	memcpy(place->name, part, len);
	place->name[len] = '\0';
}

/* True when nothing but slashes and dots is left. */
static bool is_last(const char *rest)
{
	size_t n;

	(void)component(&rest, &n);
	return n == 0;
}

int tree_find(const struct tree *t, const char *path, struct tree_place *ret_place, struct err *e)
{
	char text[TREE_PATH_MAX + 2];
	struct tree_place place = { .dir = t->root, .node = t->root };
	struct tree_node *at = t->root;
	const char *rest = text;
	int links = 0;
	int rc = tree_check_path(path, e);

	if (rc < 0)
		return rc;
	memcpy(text, path, strlen(path) + 1);
	for (;;) {
		size_t len;
		const char *part = component(&rest, &len);

		if (len == 0) {
			/* The root, or a symlink's target that ended in "..": a directory. */
			place.dir = at->parent;
			place.node = at;
			place_name(&place, at->name, at->len);
			break;
		}
		if (len == 2 &&
		    memcmp(part, "..", 2) == 0) { /* of a symlink; the root's is itself */
			at = at->parent;
			continue;
		}
		if (len > TREE_NAME_MAX)
			return err_set(e, ERR_IMAGE_BAD, "component of a symlink too long");

		struct tree_node *n = tree_child(t, at, part, len);

		place_name(&place, part, len);
		if (is_last(rest)) {
			place.dir = at;
			place.node = n;
			break;
		}
		if (!n) {
			place.dir = NULL;
			place.node = NULL;
			place.missing = at;
			break;
		}
		if (n->kind == TREE_SYMLINK) {
			if (++links > TREE_LINKS_MAX)
				return err_set(e, ERR_IMAGE_BAD, "more than %d symlinks on the way",
					       TREE_LINKS_MAX);
			if (n->target[0] == '/')
				at = t->root;
			rc = splice(text, rest, n->target, e);
			if (rc < 0)
				return rc;
			rest = text;
		} else if (n->kind == TREE_DIR) {
			at = n;
		} else {
			return err_set(e, ERR_IMAGE_BAD, "\"%s\" on the way is no directory",
				       n->name);
		}
	}
	*ret_place = place;
	return 0;
}
