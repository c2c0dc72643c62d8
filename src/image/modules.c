#include "image/modules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/elf_file.h"

/* In load order where they do not need each other: the transports first, so that devices are found
 * when their drivers arrive. */
const char *const modules_wanted[] = {
	"virtio_mmio",
	"virtio_pci",
	"virtio_blk",
	"virtio_net",
	"virtio_console",
	"virtio_rng",
	"virtio_balloon", /* it tells the VMM how much of the guest's memory is used */
	/* ext4's checksums; a soft dependency, which .modinfo's "depends" does not list.  Not the
	 * faster crc32c_intel: it refuses to load on a CPU without SSE 4.2. */
	"crc32c_generic",
	"ext4",
	"overlay",
	"vsock",
	"vmw_vsock_virtio_transport",
	"af_packet",
	"tun",
};
const size_t modules_nwanted = ARRAY_LEN(modules_wanted);

void modules_init(struct modules *m)
{
	*m = (struct modules){ 0 };
	map_init(&m->names);
	list_init(&m->all);
	list_init(&m->order);
}

static void module_destroy(struct module *mod)
{
	if (!mod)
		return;
	free(mod->path);
	free(mod->depends);
	free(mod->data);
	free(mod);
}

void modules_fini(struct modules *m)
{
	struct list_node *n;

	while ((n = list_pop(&m->all)) != NULL) {
		struct module *mod = list_entry(n, struct module, all);

		list_remove(&mod->link);
		module_destroy(mod);
	}
	map_fini(&m->names);
}

static void name_normalise(char *name)
{
	for (; *name; name++) {
		if (*name == '-')
			*name = '_';
	}
}

bool module_name(const char *path, char out[MODULE_NAME_MAX + 1])
{
	static const char *const ends[] = { ".ko", ".ko.xz", ".ko.gz", ".ko.zst" };
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	const size_t len = strlen(base);

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		const size_t end = strlen(ends[i]);

		if (len <= end || len - end > MODULE_NAME_MAX ||
		    strcmp(base + len - end, ends[i]) != 0)
			continue;
		memcpy(out, base, len - end);
		out[len - end] = '\0';
		name_normalise(out);
		return true;
	}
	return false;
}

struct module *modules_find(const struct modules *m, const char *name)
{
	for (struct map_node *n = map_find(&m->names, map_hash_str(name)); n;
	     n = map_find_next(n)) {
		struct module *mod = container_of(n, struct module, by_name);

		if (strcmp(mod->name, name) == 0)
			return mod;
	}
	return NULL;
}

int modules_add(struct modules *m, const char *path, const void *elf, size_t len, struct err *e)
{
	char name[MODULE_NAME_MAX + 1];
	size_t info_len = 0;

	if (!module_name(path, name) || modules_find(m, name))
		return 0; /* the first of a name wins */
	if (m->count >= MODULE_COUNT_MAX)
		return err_set(e, ERR_KERNEL_BAD, "more than %d modules", MODULE_COUNT_MAX);

	const char *info = elf_section(elf, len, ".modinfo", &info_len);
	const char *depends = info ? elf_modinfo(info, info_len, "depends") : NULL;
	struct module *mod = calloc(1, sizeof(*mod));

	if (mod) {
		memcpy(mod->name, name, sizeof(name));
		mod->path = strdup(path);
		mod->depends = strdup(depends ? depends : "");
	}
	if (!mod || !mod->path || !mod->depends ||
	    map_insert(&m->names, &mod->by_name, map_hash_str(name)) < 0) {
		module_destroy(mod);
		return err_set(e, ERR_HOST_MEMORY, "no memory for a kernel's modules");
	}
	list_append(&m->all, &mod->all);
	m->count++;
	return 0;
}

static int module_take(struct modules *m, struct module *mod, int depth, struct err *e)
{
	char name[MODULE_NAME_MAX + 1];
	const char *p = mod->depends;

	if (list_linked(&mod->link))
		return 0;
	if (mod->visiting || depth > MODULE_DEPTH_MAX)
		return err_set(e, ERR_KERNEL_BAD, "module %s needs itself", mod->name);
	mod->visiting = true;
	while (*p) {
		const size_t n = strcspn(p, ",");

		if (n > 0 && n <= MODULE_NAME_MAX) {
			memcpy(name, p, n);
			name[n] = '\0';
			name_normalise(name);

			struct module *need = modules_find(m, name);

			if (!need)
				return err_set(e, ERR_KERNEL_BAD,
					       "module %s needs %s, which is missing", mod->name,
					       name);
			const int rc = module_take(m, need, depth + 1, e);
			if (rc < 0)
				return rc;
		}
		p += n + (p[n] == ',');
	}
	mod->visiting = false;
	list_append(&m->order, &mod->link);
	return 0;
}

int modules_order(struct modules *m, const char *const *wanted, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct module *mod = modules_find(m, wanted[i]);

		if (!mod)
			continue;
		const int rc = module_take(m, mod, 0, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
