#include "image/elf_file.h"

#include <elf.h>
#include <string.h>

enum {
	NOTE_PVH_ENTRY = 18, /* XEN_ELFNOTE_PHYS32_ENTRY, of owner "Xen" */
};

/* The bytes at `at`, or NULL when they are not all there. */
static const void *slice(const void *data, size_t len, uint64_t at, uint64_t n)
{
	return at <= len && n <= len - at ? (const char *)data + at : NULL;
}

static bool header_read(const void *data, size_t len, Elf64_Ehdr *ret_head)
{
	const void *p = slice(data, len, 0, sizeof(*ret_head));

	if (!p)
		return false;
	memcpy(ret_head, p, sizeof(*ret_head));
	return memcmp(ret_head->e_ident, ELFMAG, SELFMAG) == 0 &&
	       ret_head->e_ident[EI_CLASS] == ELFCLASS64 &&
	       ret_head->e_ident[EI_DATA] == ELFDATA2LSB && ret_head->e_machine == EM_X86_64;
}

bool elf_is_x86_64(const void *data, size_t len)
{
	Elf64_Ehdr head;

	return header_read(data, len, &head);
}

static bool notes_have_pvh(const char *notes, size_t len)
{
	size_t at = 0;

	for (;;) {
		Elf64_Nhdr note;
		const void *p = slice(notes, len, at, sizeof(note));

		if (!p)
			return false;
		memcpy(&note, p, sizeof(note));
		at += sizeof(note);

		const char *name = slice(notes, len, at, note.n_namesz);

		if (!name)
			return false;
		if (note.n_type == NOTE_PVH_ENTRY && note.n_namesz == 4 &&
		    memcmp(name, "Xen", 4) == 0)
			return true;
		/* Each part is padded to 4; sums of 32-bit numbers cannot wrap in a size_t. */
		at += ((size_t)note.n_namesz + 3) & ~(size_t)3;
		at += ((size_t)note.n_descsz + 3) & ~(size_t)3;
	}
}

bool elf_has_pvh_note(const void *data, size_t len)
{
	Elf64_Ehdr head;
	Elf64_Phdr part;

	if (!header_read(data, len, &head) || head.e_phentsize != sizeof(part))
		return false;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		if (head.e_phoff > len)
			return false;
		const void *p = slice(data, len, head.e_phoff + (uint64_t)i * sizeof(part),
				      sizeof(part));

		if (!p)
			return false;
		memcpy(&part, p, sizeof(part));
		if (part.p_type != PT_NOTE)
			continue;
		const char *notes = slice(data, len, part.p_offset, part.p_filesz);

		if (notes && notes_have_pvh(notes, part.p_filesz))
			return true;
	}
	return false;
}

static bool section_read(const void *data, size_t len, const Elf64_Ehdr *head, unsigned i,
			 Elf64_Shdr *ret_section)
{
	if (head->e_shoff > len)
		return false;
	const void *p = slice(data, len, head->e_shoff + (uint64_t)i * sizeof(*ret_section),
			      sizeof(*ret_section));

	if (p)
		memcpy(ret_section, p, sizeof(*ret_section));
	return p != NULL;
}

const char *elf_section(const void *data, size_t len, const char *name, size_t *ret_len)
{
	const size_t want = strlen(name) + 1;
	Elf64_Ehdr head;
	Elf64_Shdr names;
	Elf64_Shdr s;

	if (!header_read(data, len, &head) || head.e_shentsize != sizeof(s) ||
	    !section_read(data, len, &head, head.e_shstrndx, &names) || names.sh_offset > len)
		return NULL;
	for (unsigned i = 0; i < head.e_shnum; i++) {
		if (!section_read(data, len, &head, i, &s))
			return NULL;
		const char *text = slice(data, len, names.sh_offset + s.sh_name, want);

		if (!text || memcmp(text, name, want) != 0 || s.sh_type == SHT_NOBITS)
			continue;
		const char *at = slice(data, len, s.sh_offset, s.sh_size);

		if (at)
			*ret_len = s.sh_size;
		return at;
	}
	return NULL;
}

const char *elf_modinfo(const char *info, size_t len, const char *key)
{
	const size_t key_len = strlen(key);

	while (len > 0) {
		const char *end = memchr(info, '\0', len);

		if (!end)
			return NULL;
		const size_t n = (size_t)(end - info);

		if (n > key_len && info[key_len] == '=' && memcmp(info, key, key_len) == 0)
			return info + key_len + 1;
		info += n + 1;
		len -= n + 1;
	}
	return NULL;
}
