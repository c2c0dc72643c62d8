/* tree.h - the names of a root filesystem, in memory, while a tar is flattened into it.
 *
 * Names are resolved here and only here: a tar's path never reaches the host's file system, and a
 * symlink is followed inside this tree, whose root is the end of every "..".  The tree knows names
 * and inode numbers; ext4.c keeps the inodes.  Directories are written from it once, at the end.
 *
 * Rules for an entry's path (tar_ext4.c names the entry in the refusal):
 *   leading slashes and "." components are dropped, as tar does;
 *   ".." components, control bytes, and components or paths that are too long are refused;
 *   a symlink on the way is followed, at most TREE_LINKS_MAX of them; the last component is not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

enum {
	TREE_NAME_MAX = 255,      /* bytes of a component: ext4's limit */
	TREE_PATH_MAX = 4095,     /* bytes of a path or of a symlink's target */
	TREE_LINKS_MAX = 40,      /* symlinks followed for one path, as in Linux */
	TREE_DEPTH_MAX = 1024,    /* directories above a name */
	TREE_NODES_MAX = 2000000, /* names in one image */
};

enum tree_kind {
	TREE_DIR,
	TREE_FILE,
	TREE_SYMLINK,
	TREE_CHAR,
	TREE_BLOCK,
	TREE_FIFO,
	TREE_SOCKET,
	TREE_NKINDS,
};

struct tree_node {
	struct map_node by_name;  /* tree.names: hash of parent and name */
	struct list_node link;    /* parent.children */
	struct list children;     /* tree_node.link, in the order of arrival; directories only */
	struct tree_node *parent; /* the root's is itself */
	char *target;             /* owned; symlinks only */
	uint32_t ino;             /* 0 until the file system has one for it */
	uint32_t depth;
	enum tree_kind kind;
	uint8_t len; /* of name */
	char name[];
};

struct tree {
	struct map names;
	struct tree_node *root; /* owned, with everything below */
	uint32_t nodes;
};

int tree_init(struct tree *t, struct err *e);
void tree_fini(struct tree *t);

struct tree_node *tree_child(const struct tree *t, const struct tree_node *dir, const char *name,
			     size_t len);

/* Adds a name that is not there yet; `target` (symlinks) is copied. */
int tree_add(struct tree *t, struct tree_node *dir, const char *name, size_t len,
	     enum tree_kind kind, const char *target, struct tree_node **ret_node, struct err *e);

/* Removes a name; a directory must be empty. */
void tree_remove(struct tree *t, struct tree_node *n);

/* The node after `n`, parents before children; NULL at the end. */
struct tree_node *tree_next(const struct tree *t, struct tree_node *n);

/* Where a path leads.  `dir` is NULL when a directory on the way is missing: `missing` is then the
 * last one that exists, and `name` the first missing component. */
struct tree_place {
	struct tree_node *dir;        /* the last component's directory, or NULL */
	struct tree_node *missing;    /* where to make `name`, when dir is NULL */
	struct tree_node *node;       /* what is there now, or NULL */
	char name[TREE_NAME_MAX + 1]; /* "" for the root itself */
};

int tree_find(const struct tree *t, const char *path, struct tree_place *ret_place, struct err *e);

/* The rules above that concern the text alone: 0 or -EINVAL with the reason. */
int tree_check_path(const char *path, struct err *e);
