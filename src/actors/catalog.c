#include "actors/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "image/job.h"

struct catalog {
	const char *state_dir;     /* borrowed from the settings, outlives us */
	struct image_view *images; /* owned array */
	uint32_t nimages;
	struct kernel_view *kernels; /* owned array */
	uint32_t nkernels;
};

/* Records tell names: where the files are, is said anew wherever the state directory is now. */
void catalog_image_paths(const char *state_dir, struct image_view *image)
{
	(void)snprintf(image->path, sizeof(image->path), "%.900s/images/%s/" IMAGE_FILE_ROOT,
		       state_dir, image->name);
}

void catalog_kernel_paths(const char *state_dir, struct kernel_view *kernel)
{
	(void)snprintf(kernel->path, sizeof(kernel->path), "%.900s/kernels/%s/" IMAGE_FILE_KERNEL,
		       state_dir, kernel->name);
	(void)snprintf(kernel->initrd, sizeof(kernel->initrd),
		       "%.900s/kernels/%s/" IMAGE_FILE_INITRD, state_dir, kernel->name);
}

static int load_image(void *arg, const void *key, size_t key_len, const void *value, size_t len)
{
	struct catalog *c = arg;
	struct image_view *v = calloc(1, sizeof(*v)); /* too large for the stack */
	int rc = v ? schema_decode(&image_view_schema, value, len, v, NULL) : -ENOMEM;

	(void)key;
	(void)key_len;
	if (rc == 0) {
		catalog_image_paths(c->state_dir, v);
		rc = catalog_put_image(c, v);
	}
	free(v);
	return rc;
}

static int load_kernel(void *arg, const void *key, size_t key_len, const void *value, size_t len)
{
	struct catalog *c = arg;
	struct kernel_view *v = calloc(1, sizeof(*v)); /* too large for the stack */
	int rc = v ? schema_decode(&kernel_view_schema, value, len, v, NULL) : -ENOMEM;

	(void)key;
	(void)key_len;
	if (rc == 0) {
		catalog_kernel_paths(c->state_dir, v);
		rc = catalog_put_kernel(c, v);
	}
	free(v);
	return rc;
}

static int add_built_in(struct catalog *c, const char *name, const char *dir, const char *file)
{
	struct image_view v = { 0 };

	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	(void)snprintf(v.kind, sizeof(v.kind), "%s", name);
	(void)snprintf(v.source, sizeof(v.source), "built in");
	if (file)
		(void)snprintf(v.path, sizeof(v.path), "%s/%s", dir, file);
	return catalog_put_image(c, &v);
}

int catalog_create(struct store *store, const struct conf *conf, struct catalog **ret_catalog,
		   struct err *e)
{
	struct catalog *c = calloc(1, sizeof(*c));
	int rc = c ? 0 : -ENOMEM;

	if (c)
		c->state_dir = conf->state_dir;
	if (rc == 0)
		rc = add_built_in(c, IMAGE_PROBE, conf->libexec_dir, "probe.elf");
	if (rc == 0)
		rc = add_built_in(c, IMAGE_NULL, conf->libexec_dir, NULL);
	if (rc == 0)
		rc = store_each(store, STORE_IMAGES, load_image, c, e);
	if (rc == 0)
		rc = store_each(store, STORE_KERNELS, load_kernel, c, e);
	if (rc < 0) {
		catalog_destroy(c);
		return e->code ? rc : err_num(e, ERR_STORE, rc, "images and kernels");
	}
	*ret_catalog = c;
	return 0;
}

void catalog_destroy(struct catalog *c)
{
	if (!c)
		return;
	free(c->images);
	free(c->kernels);
	free(c);
}

bool image_has_disk(const struct image_view *image)
{
	return strcmp(image->kind, IMAGE_KIND_DISK) == 0;
}

static struct image_view *find_image(const struct catalog *c, const char *name)
{
	struct image_view *newest = NULL;

	for (uint32_t i = 0; i < c->nimages; i++) {
		struct image_view *v = &c->images[i];

		if (*name && strcmp(v->name, name) == 0)
			return v;
		if (!*name && image_has_disk(v) && (!newest || v->created_ms >= newest->created_ms))
			newest = v;
	}
	return newest;
}

static struct kernel_view *find_kernel(const struct catalog *c, const char *name)
{
	struct kernel_view *newest = NULL;

	for (uint32_t i = 0; i < c->nkernels; i++) {
		struct kernel_view *v = &c->kernels[i];

		if (*name && strcmp(v->name, name) == 0)
			return v;
		if (!*name && (!newest || v->created_ms >= newest->created_ms))
			newest = v;
	}
	return newest;
}

const struct image_view *catalog_image(const struct catalog *c, const char *name)
{
	return find_image(c, name);
}

const struct kernel_view *catalog_kernel(const struct catalog *c, const char *name)
{
	return find_kernel(c, name);
}

int catalog_put_image(struct catalog *c, const struct image_view *image)
{
	struct image_view *at = find_image(c, image->name);

	if (!at) {
		if (c->nimages >= IMAGES_MAX)
			return -ENOSPC;
		at = realloc(c->images, (c->nimages + 1) * sizeof(*at));
		if (!at)
			return -ENOMEM;
		c->images = at;
		at += c->nimages++;
	}
	*at = *image;
	return 0;
}

int catalog_put_kernel(struct catalog *c, const struct kernel_view *kernel)
{
	struct kernel_view *at = find_kernel(c, kernel->name);

	if (!at) {
		if (c->nkernels >= KERNELS_MAX)
			return -ENOSPC;
		at = realloc(c->kernels, (c->nkernels + 1) * sizeof(*at));
		if (!at)
			return -ENOMEM;
		c->kernels = at;
		at += c->nkernels++;
	}
	*at = *kernel;
	return 0;
}

void catalog_remove_image(struct catalog *c, const char *name)
{
	struct image_view *at = *name ? find_image(c, name) : NULL;

	if (!at)
		return;
	const size_t after = (size_t)(&c->images[--c->nimages] - at);
	memmove(at, at + 1, after * sizeof(*at));
}

void catalog_remove_kernel(struct catalog *c, const char *name)
{
	struct kernel_view *at = *name ? find_kernel(c, name) : NULL;

	if (!at)
		return;
	const size_t after = (size_t)(&c->kernels[--c->nkernels] - at);
	memmove(at, at + 1, after * sizeof(*at));
}

const struct image_view *catalog_images(const struct catalog *c, uint32_t *ret_n)
{
	*ret_n = c->nimages;
	return c->images;
}

const struct kernel_view *catalog_kernels(const struct catalog *c, uint32_t *ret_n)
{
	*ret_n = c->nkernels;
	return c->kernels;
}
