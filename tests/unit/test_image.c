/* test_image.c - the parts of banger-imager that need no file system: names, ELF, modules, kernels.
 */
#include <archive.h>
#include <archive_entry.h>
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/apt.h"
#include "image/elf_file.h"
#include "image/initrd.h"
#include "image/modules.h"
#include "image/tree.h"
#include "image/vmlinux.h"

/* ---- names ---- */

static struct tree_node *add(struct tree *t, const char *path, enum tree_kind kind,
			     const char *target)
{
	struct err e = { 0 };
	struct tree_place place;
	struct tree_node *n;

	cr_assert_eq(tree_find(t, path, &place, &e), 0, "%s: %s", path, e.text);
	cr_assert_not_null(place.dir, "%s", path);
	cr_assert_eq(tree_add(t, place.dir, place.name, strlen(place.name), kind, target, &n, &e),
		     0);
	return n;
}

Test(tree, refuses_names_that_leave_the_image_or_forge_lines)
{
	static const char *const bad[] = { "",       "..",   "../a",   "a/..", "/../a",
					   "a/../b", "a\nb", "a/\x01", "a\x7f" };
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(tree_check_path(bad[i], &e), -EINVAL, "\"%s\"", bad[i]);
}

Test(tree, takes_names_that_only_look_strange)
{
	static const char *const good[] = {
		".", "/", "./a", "//a//b/", "...", "..a", "a..", "a b"
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_assert_eq(tree_check_path(good[i], &e), 0, "\"%s\"", good[i]);
}

Test(tree, bounds_components_and_paths)
{
	char name[TREE_PATH_MAX + 2];
	struct err e;

	memset(name, 'x', sizeof(name));
	name[TREE_NAME_MAX] = '\0';
	cr_assert_eq(tree_check_path(name, &e), 0);
	name[TREE_NAME_MAX] = 'x';
	name[TREE_NAME_MAX + 1] = '\0';
	cr_assert_eq(tree_check_path(name, &e), -EINVAL);
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '/' : 'x';
	name[TREE_PATH_MAX] = '\0';
	cr_assert_eq(tree_check_path(name, &e), 0);
	name[TREE_PATH_MAX] = 'x';
	name[TREE_PATH_MAX + 1] = '\0';
	cr_assert_eq(tree_check_path(name, &e), -EINVAL);
}

Test(tree, follows_symlinks_inside_the_image_only)
{
	struct tree t;
	struct tree_place place;
	struct err e = { 0 };

	cr_assert_eq(tree_init(&t, &e), 0);
	struct tree_node *usr = add(&t, "usr", TREE_DIR, NULL);
	struct tree_node *lib = add(&t, "usr/lib", TREE_DIR, NULL);
	add(&t, "lib", TREE_SYMLINK, "usr/lib");
	add(&t, "abs", TREE_SYMLINK, "/usr/lib/");
	add(&t, "usr/up", TREE_SYMLINK, "../../../../usr");

	cr_assert_eq(tree_find(&t, "lib/x", &place, &e), 0);
	cr_assert_eq(place.dir, lib);
	cr_assert_eq(tree_find(&t, "usr/up/lib/x", &place, &e), 0);
	cr_assert_eq(place.dir, lib);
	cr_assert_eq(tree_find(&t, "abs/x", &place, &e), 0);
	cr_assert_eq(place.dir, lib);
	cr_assert_eq(tree_find(&t, "usr/up/x", &place, &e), 0);
	cr_assert_eq(place.dir, usr);
	cr_assert_str_eq(place.name, "x");
	tree_fini(&t);
}

Test(tree, does_not_follow_the_last_component)
{
	struct tree t;
	struct tree_place place;
	struct err e = { 0 };

	cr_assert_eq(tree_init(&t, &e), 0);
	struct tree_node *n = add(&t, "lib", TREE_SYMLINK, "usr");

	cr_assert_eq(tree_find(&t, "lib/", &place, &e), 0);
	cr_assert_eq(place.node, n);
	tree_fini(&t);
}

Test(tree, gives_up_on_symlinks_in_a_circle)
{
	struct tree t;
	struct tree_place place;
	struct err e = { 0 };

	cr_assert_eq(tree_init(&t, &e), 0);
	add(&t, "a", TREE_SYMLINK, "b");
	add(&t, "b", TREE_SYMLINK, "a");
	cr_assert_eq(tree_find(&t, "a/x", &place, &e), -EINVAL);
	cr_assert(strstr(e.text, "symlinks"), "%s", e.text);
	tree_fini(&t);
}

Test(tree, says_which_directory_is_missing)
{
	struct tree t;
	struct tree_place place;
	struct err e = { 0 };

	cr_assert_eq(tree_init(&t, &e), 0);
	struct tree_node *a = add(&t, "a", TREE_DIR, NULL);

	cr_assert_eq(tree_find(&t, "a/b/c", &place, &e), 0);
	cr_assert_null(place.dir);
	cr_assert_eq(place.missing, a);
	cr_assert_str_eq(place.name, "b");
	tree_fini(&t);
}

Test(tree, refuses_a_path_through_a_file)
{
	struct tree t;
	struct tree_place place;
	struct err e = { 0 };

	cr_assert_eq(tree_init(&t, &e), 0);
	add(&t, "f", TREE_FILE, NULL);
	cr_assert_eq(tree_find(&t, "f/x", &place, &e), -EINVAL);
	tree_fini(&t);
}

Test(tree, is_bounded_in_depth)
{
	struct tree t;
	struct err e = { 0 };
	struct tree_node *at;
	int rc = 0;
	int depth = 0;

	cr_assert_eq(tree_init(&t, &e), 0);
	for (at = t.root; rc == 0 && depth <= TREE_DEPTH_MAX + 1; depth++)
		rc = tree_add(&t, at, "d", 1, TREE_DIR, NULL, &at, &e);
	cr_assert_eq(rc, -EINVAL);
	cr_assert_eq(depth, TREE_DEPTH_MAX + 1);
	tree_fini(&t);
}

/* ---- ELF files of our own making ---- */

struct fake_elf {
	Elf64_Ehdr head;
	Elf64_Phdr part;
	Elf64_Shdr sections[3];
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint32_t entry;
	} note;
	char names[32];
	char info[128];
};

static void elf_make(struct fake_elf *f, const char *depends)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->head.e_ident, ELFMAG, SELFMAG);
	f->head.e_ident[EI_CLASS] = ELFCLASS64;
	f->head.e_ident[EI_DATA] = ELFDATA2LSB;
	f->head.e_machine = EM_X86_64;
	f->head.e_phoff = offsetof(struct fake_elf, part);
	f->head.e_phentsize = sizeof(Elf64_Phdr);
	f->head.e_phnum = 1;
	f->head.e_shoff = offsetof(struct fake_elf, sections);
	f->head.e_shentsize = sizeof(Elf64_Shdr);
	f->head.e_shnum = 3;
	f->head.e_shstrndx = 1;
	f->part.p_type = PT_NOTE;
	f->part.p_offset = offsetof(struct fake_elf, note);
	f->part.p_filesz = sizeof(f->note);
	f->note.head = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = 18 };
	memcpy(f->note.name, "Xen", 4);
	memcpy(f->names, "\0.shstrtab\0.modinfo", 20);
	f->sections[1] = (Elf64_Shdr){ .sh_name = 1,
				       .sh_type = SHT_STRTAB,
				       .sh_offset = offsetof(struct fake_elf, names),
				       .sh_size = sizeof(f->names) };
	const int n = snprintf(f->info, sizeof(f->info), "license=GPL%cdepends=%s", '\0', depends);
	f->sections[2] = (Elf64_Shdr){ .sh_name = 11,
				       .sh_type = SHT_PROGBITS,
				       .sh_offset = offsetof(struct fake_elf, info),
				       .sh_size = (Elf64_Xword)n + 1 };
}

Test(elf, finds_the_pvh_note)
{
	struct fake_elf f;

	elf_make(&f, "");
	cr_assert(elf_has_pvh_note(&f, sizeof(f)));
	f.note.head.n_type = 17;
	cr_assert_not(elf_has_pvh_note(&f, sizeof(f)));
}

/* Every cut and every flipped byte: ASan is the judge. */
Test(elf, survives_damage_anywhere)
{
	struct fake_elf f;
	size_t n;

	elf_make(&f, "virtio");
	for (size_t len = 0; len < sizeof(f); len++) {
		char *cut = malloc(len + 1);

		memcpy(cut, &f, len);
		(void)elf_has_pvh_note(cut, len);
		(void)elf_section(cut, len, ".modinfo", &n);
		free(cut);
	}
	for (size_t at = 0; at < sizeof(f); at++) {
		struct fake_elf *bad = malloc(sizeof(f));

		memcpy(bad, &f, sizeof(f));
		((uint8_t *)bad)[at] = 0xff;
		(void)elf_has_pvh_note(bad, sizeof(f));
		const char *info = elf_section(bad, sizeof(f), ".modinfo", &n);
		if (info)
			(void)elf_modinfo(info, n, "depends");
		free(bad);
	}
}

/* ---- modules ---- */

static void module_add(struct modules *m, const char *path, const char *depends)
{
	struct fake_elf f;
	struct err e = { 0 };

	elf_make(&f, depends);
	cr_assert_eq(modules_add(m, path, &f, sizeof(f), &e), 0, "%s", e.text);
}

static void order_text(const struct modules *m, char out[256])
{
	out[0] = '\0';
	list_for_each (l, &m->order) {
		strcat(out, list_entry(l, struct module, link)->name);
		strcat(out, " ");
	}
}

Test(modules, come_after_what_they_need)
{
	static const char *const wanted[] = { "virtio_blk", "absent", "virtio_net" };
	struct modules m;
	struct err e = { 0 };
	char text[256];

	modules_init(&m);
	module_add(&m, "k/virtio_net.ko", "net-failover,virtio");
	module_add(&m, "k/virtio_blk.ko.xz", "virtio_ring,virtio");
	module_add(&m, "k/virtio.ko", "virtio_ring");
	module_add(&m, "k/virtio_ring.ko", "");
	module_add(&m, "k/net_failover.ko", "");
	module_add(&m, "k/unwanted.ko", "virtio");
	cr_assert_eq(modules_order(&m, wanted, 3, &e), 0, "%s", e.text);
	order_text(&m, text);
	cr_assert_str_eq(text, "virtio_ring virtio virtio_blk net_failover virtio_net ");
	modules_fini(&m);
}

Test(modules, that_need_each_other_are_refused)
{
	static const char *const wanted[] = { "a" };
	struct modules m;
	struct err e = { 0 };

	modules_init(&m);
	module_add(&m, "a.ko", "b");
	module_add(&m, "b.ko", "a");
	cr_assert_eq(modules_order(&m, wanted, 1, &e), -EINVAL);
	cr_assert_eq(e.code, ERR_KERNEL_BAD);
	modules_fini(&m);
}

Test(modules, that_need_what_is_missing_are_refused_by_name)
{
	static const char *const wanted[] = { "a" };
	struct modules m;
	struct err e = { 0 };

	modules_init(&m);
	module_add(&m, "a.ko", "gone");
	cr_assert_eq(modules_order(&m, wanted, 1, &e), -EINVAL);
	cr_assert(strstr(e.text, "gone"), "%s", e.text);
	modules_fini(&m);
}

Test(modules, are_named_as_the_kernel_names_them)
{
	char name[MODULE_NAME_MAX + 1];

	cr_assert(module_name("./lib/modules/6/virtio-rng.ko.zst", name));
	cr_assert_str_eq(name, "virtio_rng");
	cr_assert_not(module_name("modules.dep", name));
	cr_assert_not(module_name(".ko", name));
}

/* ---- bzImage ---- */

struct fake_kernel {
	uint8_t *data;
	size_t len;
};

/* A setup header, one sector of setup code, and the ELF compressed by one of libarchive's filters.
 */
static struct fake_kernel kernel_make(int (*filter)(struct archive *), bool appends_size)
{
	enum { CODE = 1024, GAP = 16 };
	struct fake_kernel k = { .data = calloc(1, 65536) };
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	struct fake_elf f;
	size_t used = 0;
	uint8_t *payload = k.data + CODE + GAP;

	elf_make(&f, "");
	archive_write_set_format_raw(a);
	cr_assert_eq(filter(a), ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(a, 1);
	cr_assert_eq(archive_write_open_memory(a, payload, 32768, &used), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_pathname(entry, "vmlinux");
	cr_assert_eq(archive_write_header(a, entry), ARCHIVE_OK);
	cr_assert_eq(archive_write_data(a, &f, sizeof(f)), (la_ssize_t)sizeof(f));
	cr_assert_eq(archive_write_close(a), ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(a);
	if (appends_size) {
		const uint32_t size = sizeof(f);

		memcpy(payload + used, &size, 4);
		used += 4;
	}
	k.data[0x1f1] = 1;
	memcpy(k.data + 0x1fe, "\x55\xaaxxHdrS\x0f\x02", 10);
	memcpy(k.data + 0x20e, "\x80\x00", 2);
	memcpy(k.data + 0x280, "6.1.0-9-test (x@y) #1", 22);
	const uint32_t where[2] = { GAP, (uint32_t)used };
	memcpy(k.data + 0x248, where, sizeof(where));
	k.len = CODE + GAP + used;
	return k;
}

static void extracts(int (*filter)(struct archive *), bool appends_size)
{
	struct fake_kernel k = kernel_make(filter, appends_size);
	struct bzimage image;
	struct err e = { 0 };
	uint8_t *elf = NULL;
	size_t len = 0;

	cr_assert_eq(bzimage_parse(k.data, k.len, &image, &e), 0, "%s", e.text);
	cr_assert_str_eq(image.release, "6.1.0-9-test");
	cr_assert_eq(bzimage_extract(&image, &elf, &len, &e), 0, "%s", e.text);
	cr_assert_eq(len, sizeof(struct fake_elf));
	cr_assert(elf_has_pvh_note(elf, len));
	free(elf);
	free(k.data);
}

Test(bzimage, is_taken_apart_from_gzip)
{
	extracts(archive_write_add_filter_gzip, false); /* ends in the length by itself */
}

Test(bzimage, is_taken_apart_from_xz)
{
	extracts(archive_write_add_filter_xz, true);
}

Test(bzimage, is_taken_apart_from_lzma)
{
	extracts(archive_write_add_filter_lzma, true);
}

Test(bzimage, is_taken_apart_from_zstd)
{
	extracts(archive_write_add_filter_zstd, true);
}

Test(bzimage, is_taken_apart_from_lz4)
{
	extracts(archive_write_add_filter_lz4, true);
}

Test(bzimage, with_a_payload_outside_the_file_is_refused)
{
	struct fake_kernel k = kernel_make(archive_write_add_filter_gzip, false);
	struct bzimage image;
	struct err e = { 0 };

	cr_assert_eq(bzimage_parse(k.data, k.len - 1, &image, &e), -EINVAL);
	cr_assert_eq(e.code, ERR_KERNEL_BAD);
	memset(k.data + 0x248, 0xff, 8);
	cr_assert_eq(bzimage_parse(k.data, k.len, &image, &e), -EINVAL);
	free(k.data);
}

Test(bzimage, that_lies_about_its_length_is_refused)
{
	struct fake_kernel k = kernel_make(archive_write_add_filter_xz, true);
	struct bzimage image;
	struct err e = { 0 };
	const uint32_t more = sizeof(struct fake_elf) + 1;
	uint8_t *elf = NULL;
	size_t len = 0;

	memcpy(k.data + k.len - 4, &more, 4);
	cr_assert_eq(bzimage_parse(k.data, k.len, &image, &e), 0);
	cr_assert_lt(bzimage_extract(&image, &elf, &len, &e), 0);
	cr_assert_null(elf);
	free(k.data);
}

Test(bzimage, is_told_apart_from_anything_else)
{
	char text[4096] = "not a kernel";
	struct bzimage image;

	cr_assert_eq(bzimage_parse(text, sizeof(text), &image, NULL), -ENOEXEC);
	cr_assert_eq(bzimage_parse(text, 3, &image, NULL), -ENOEXEC);
}

/* ---- initrd ---- */

Test(initrd, holds_programs_modules_their_list_and_a_console)
{
	static const char *const wanted[] = { "b" };
	static const char *const expect[] = { "dev",
					      "proc",
					      "sys",
					      "newroot",
					      "lib",
					      "lib/modules",
					      "dev/console",
					      "init",
					      "banger-agent",
					      "modules",
					      "lib/modules/a.ko",
					      "lib/modules/b.ko" };
	char path[] = "/tmp/test_initrd.XXXXXX";
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	struct modules m;
	struct err e = { 0 };
	size_t n = 0;

	close(mkstemp(path));
	unlink(path);
	modules_init(&m);
	module_add(&m, "b.ko", "a");
	module_add(&m, "a.ko", "");
	cr_assert_eq(modules_order(&m, wanted, 1, &e), 0);
	list_for_each (l, &m.order) {
		struct module *mod = list_entry(l, struct module, link);

		mod->data = (uint8_t *)strdup("elf");
		mod->len = 3;
	}
	cr_assert_eq(initrd_write(path, "/bin/true", "/bin/false", &m, &e), 0, "%s", e.text);
	archive_read_support_format_cpio(a);
	cr_assert_eq(archive_read_open_filename(a, path, 4096), ARCHIVE_OK);
	for (; archive_read_next_header(a, &entry) == ARCHIVE_OK; n++) {
		cr_assert_lt(n, ARRAY_LEN(expect));
		cr_assert_str_eq(archive_entry_pathname(entry), expect[n]);
		if (strcmp(expect[n], "modules") == 0) {
			char text[128] = { 0 };

			cr_assert_gt(archive_read_data(a, text, sizeof(text) - 1), 0);
			cr_assert_str_eq(text, "/lib/modules/a.ko\n/lib/modules/b.ko\n");
		}
		if (strcmp(expect[n], "dev/console") == 0)
			cr_assert_eq(archive_entry_filetype(entry), AE_IFCHR);
	}
	cr_assert_eq(n, ARRAY_LEN(expect));
	archive_read_free(a);
	modules_fini(&m);
	unlink(path);
}

/* ---- apt ---- */

Test(apt, takes_files_that_serve_the_suite_and_nothing_else)
{
	cr_assert(apt_serves("# x\ndeb [a=b] http://m/d trixie main contrib\n"
			     "deb http://m/d trixie-updates main\n",
			     false, "trixie"));
	cr_assert(apt_serves("Types: deb\nURIs: http://m\nSuites: trixie trixie-updates\n"
			     "Components: main\n\nSuites: trixie-security\nComponents: main\n",
			     true, "trixie"));
	cr_assert_not(apt_serves("deb http://m/d bookworm main\n", false, "trixie"));
	cr_assert_not(apt_serves("deb http://m/d trixie stable\n", false, "trixie"));
	cr_assert_not(
		apt_serves("deb http://m trixie main\ndeb http://m sid main\n", false, "trixie"));
	cr_assert_not(apt_serves("deb http://m trixie-updates main\n", false, "trixie"));
	cr_assert_not(apt_serves("", true, "trixie"));
}
