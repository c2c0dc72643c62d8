/* elf_file.h - the little that we read of ELF files: is it a kernel that boots by PVH, what does a
 * module need.  Everything is checked against the length of the bytes; only 64-bit little-endian
 * x86. Facts: elf(5); Xen's public/elfnote.h for the PVH note.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool elf_is_x86_64(const void *data, size_t len);
bool elf_has_pvh_note(const void *data, size_t len);

/* The contents of a section, or NULL. */
const char *elf_section(const void *data, size_t len, const char *name, size_t *ret_len);

/* The value of the first "key=value" in a module's .modinfo section, or NULL. */
const char *elf_modinfo(const char *info, size_t len, const char *key);
