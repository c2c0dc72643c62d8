/* modules.h - which kernel modules a guest needs before its root, and in what order.
 *
 * A module's needs are in its own .modinfo section, which holds for a package that no depmod has
 * seen as well as for an installed tree, so modules.dep is not read at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/strv.h"

enum {
	MODULE_BYTES_MAX = 64 << 20, /* of one module, decompressed */
	MODULE_NAME_MAX = 63,        /* bytes, as in Linux (MODULE_NAME_LEN less its NUL) */
	MODULE_COUNT_MAX = 20000,    /* modules of a kernel */
	MODULE_DEPTH_MAX = 32,       /* a module that needs one that needs ... */
};

struct module {
	struct map_node by_name; /* modules.names */
	struct list_node link;   /* modules.order once it is taken, else on no list */
	struct list_node all;    /* modules.all */
	char name[MODULE_NAME_MAX + 1];
	char *path;    /* owned: in the package or tree, as it is read again */
	char *depends; /* owned: "a,b" */
	uint8_t *data; /* owned: the file, decompressed; NULL until it is kept */
	size_t len;
	bool visiting;
};

struct modules {
	struct map names;
	struct list all;   /* module.all; owns them */
	struct list order; /* module.link: those to load, needs first */
	unsigned count;
};

void modules_init(struct modules *m);
void modules_fini(struct modules *m);

/* Whether a path ends like a module's ("x.ko", "x.ko.xz", ...), and its name if so: dashes become
 * underscores, as in the kernel. */
bool module_name(const char *path, char out[MODULE_NAME_MAX + 1]);

/* Adds a module from its ELF bytes; one that has no readable .modinfo needs nothing. */
int modules_add(struct modules *m, const char *path, const void *elf, size_t len, struct err *e);

/* Fills m->order with the wanted modules that exist and what they need, needs first. */
int modules_order(struct modules *m, const char *const *wanted, size_t n, struct err *e);

struct module *modules_find(const struct modules *m, const char *name);

/* What a guest needs; those that are built into a kernel are simply not there. */
extern const char *const modules_wanted[];
extern const size_t modules_nwanted;
