/* catalog.h - images and kernels: what is in the store, in memory, and the two images built in.
 *
 * Read by everybody, changed by the jobs that import and remove; the change is in memory once it is
 * durable.  Views are the catalogue's: valid until the entry is removed, so nobody keeps them
 * across a message.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "conf/conf.h"
#include "proto/client.h"
#include "store/store.h"

#define IMAGE_PROBE                                                                                \
	"probe" /* a bare-metal guest that says that it is up: tests, doctor, benchmarks */
#define IMAGE_NULL      "null" /* no guest at all: for the null driver */
#define IMAGE_KIND_DISK "disk"

struct catalog;

/* Loads what the store has. */
int catalog_create(struct store *store, const struct conf *conf, struct catalog **ret_catalog,
		   struct err *e);
void catalog_destroy(struct catalog *c);

/* NULL when there is none.  "" is the default: the newest of those with a disk. */
const struct image_view *catalog_image(const struct catalog *c, const char *name);
/* NULL when there is none.  "" is the newest one. */
const struct kernel_view *catalog_kernel(const struct catalog *c, const char *name);
bool image_has_disk(const struct image_view *image);

/* Adds or replaces.  -ENOMEM, or -ENOSPC at IMAGES_MAX / KERNELS_MAX. */
int catalog_put_image(struct catalog *c, const struct image_view *image);
int catalog_put_kernel(struct catalog *c, const struct kernel_view *kernel);
void catalog_remove_image(struct catalog *c, const char *name);
void catalog_remove_kernel(struct catalog *c, const char *name);

/* Where the files of an image or kernel of that name are. */
void catalog_image_paths(const char *state_dir, struct image_view *image);
void catalog_kernel_paths(const char *state_dir, struct kernel_view *kernel);

/* For lists: all of them, in the order they came. */
const struct image_view *catalog_images(const struct catalog *c, uint32_t *ret_n);
const struct kernel_view *catalog_kernels(const struct catalog *c, uint32_t *ret_n);
