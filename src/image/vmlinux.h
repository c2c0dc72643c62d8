/* vmlinux.h - the ELF kernel inside a bzImage.
 *
 * VMMs boot an ELF with a PVH note directly, without the real-mode code and the decompressor: on an
 * emulated CPU that saves a third of a second.  The bzImage's setup header says where the
 * compressed payload lies; its last four bytes are the length of the result, whatever the
 * compression. Facts: Documentation/arch/x86/boot.rst in Linux (protocol 2.08).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	VMLINUX_MAX = 256 << 20, /* bytes of a kernel, compressed or not */
	VMLINUX_RELEASE_MAX = 128,
};

struct bzimage {
	const uint8_t *payload; /* borrowed from the file's bytes */
	size_t payload_len;
	uint32_t elf_len;                  /* as announced */
	char release[VMLINUX_RELEASE_MAX]; /* "6.1.0-56-cloud-amd64", "" when it does not say */
};

/* 0; -ENOEXEC when the bytes are no bzImage at all, ERR_KERNEL_BAD when it is a broken one. */
int bzimage_parse(const void *data, size_t len, struct bzimage *ret_image, struct err *e);

/* Decompresses the payload; the result is checked to be an x86-64 ELF with a PVH note. */
int bzimage_extract(const struct bzimage *image, uint8_t **ret_elf, size_t *ret_len, struct err *e);

/* The release that an ELF kernel carries ("Linux version ..."), "" when none. */
void vmlinux_release(const void *data, size_t len, char out[VMLINUX_RELEASE_MAX]);
