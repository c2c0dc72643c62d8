#include "image/vmlinux.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/elf_file.h"
#include "image/source.h"

/* Offsets of the setup header's fields from the start of the file. */
enum {
	AT_SETUP_SECTS = 0x1f1,
	AT_BOOT_FLAG = 0x1fe,
	AT_MAGIC = 0x202,
	AT_VERSION = 0x206,
	AT_KERNEL_VERSION = 0x20e,
	AT_PAYLOAD_OFFSET = 0x248,
	AT_PAYLOAD_LENGTH = 0x24c,
	HEADER_END = 0x250,

	SECTOR = 512,
	BOOT_FLAG = 0xaa55,
	VERSION_PAYLOAD = 0x0208, /* the first protocol with a payload offset */
	SETUP_SECTS_OLD = 4,      /* what 0 means */
};

static uint16_t read16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t read32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* The first word of a text that may end anywhere; only what a release can hold. */
static void release_copy(const uint8_t *p, size_t len, char out[VMLINUX_RELEASE_MAX])
{
	size_t n = 0;

	while (n < len && n < VMLINUX_RELEASE_MAX - 1 && p[n] > ' ' && p[n] < 0x7f && p[n] != '/')
		n++;
	memcpy(out, p, n);
	out[n] = '\0';
}

int bzimage_parse(const void *data, size_t len, struct bzimage *ret_image, struct err *e)
{
	const uint8_t *p = data;
	struct bzimage image = { 0 };

	if (len < HEADER_END || read16(p + AT_BOOT_FLAG) != BOOT_FLAG ||
	    memcmp(p + AT_MAGIC, "HdrS", 4) != 0)
		return -ENOEXEC;
	if (read16(p + AT_VERSION) < VERSION_PAYLOAD)
		return err_set(e, ERR_KERNEL_BAD, "boot protocol older than 2.08");

	const size_t sects = p[AT_SETUP_SECTS] ? p[AT_SETUP_SECTS] : SETUP_SECTS_OLD;
	const size_t code = (sects + 1) * SECTOR;
	const size_t offset = read32(p + AT_PAYLOAD_OFFSET);
	const size_t n = read32(p + AT_PAYLOAD_LENGTH);

	if (code > len || offset > len - code || n > len - code - offset || n <= sizeof(uint32_t))
		return err_set(e, ERR_KERNEL_BAD, "payload lies outside the file");
	image.payload = p + code + offset;
	image.payload_len = n;
	image.elf_len = read32(image.payload + n - sizeof(uint32_t));
	if (image.elf_len > VMLINUX_MAX)
		return err_set(e, ERR_KERNEL_BAD, "payload announces %u bytes", image.elf_len);

	const size_t version = (size_t)read16(p + AT_KERNEL_VERSION) + SECTOR;

	if (version > SECTOR && version < len)
		release_copy(p + version, len - version, image.release);
	*ret_image = image;
	return 0;
}

/* A gzip stream ends in the length by itself; to the others the kernel's build has appended it, and
 * they would take it for a damaged second stream. */
static size_t stream_len(const struct bzimage *image)
{
	const bool gzip = image->payload[0] == 0x1f && image->payload[1] == 0x8b;

	return image->payload_len - (gzip ? 0 : sizeof(uint32_t));
}

static int payload_read(struct archive *a, const struct bzimage *image, uint8_t *out, struct err *e)
{
	struct archive_entry *entry;
	size_t done = 0;

	if (archive_read_open_memory(a, image->payload, stream_len(image)) != ARCHIVE_OK ||
	    archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return err_set(e, ERR_KERNEL_BAD, "payload: %s", archive_error_string(a));
	while (done < image->elf_len) {
		const la_ssize_t n = archive_read_data(a, out + done, image->elf_len - done);

		if (n < 0)
			return err_set(e, ERR_KERNEL_BAD, "payload: %s", archive_error_string(a));
		if (n == 0)
			return err_set(e, ERR_KERNEL_BAD, "payload ends after %zu of %u bytes",
				       done, image->elf_len);
		done += (size_t)n;
	}
	return 0;
}

int bzimage_extract(const struct bzimage *image, uint8_t **ret_elf, size_t *ret_len, struct err *e)
{
	CLEANUP_FREE uint8_t *out = malloc(image->elf_len ? image->elf_len : 1);
	struct archive *a = archive_read_new();
	int rc;

	if (!out || !a) {
		archive_read_free(a);
		return err_set(e, ERR_HOST_MEMORY, "no memory for a kernel of %u bytes",
			       image->elf_len);
	}
	archive_read_support_format_raw(a);
	source_filters(a);
	rc = payload_read(a, image, out, e);
	archive_read_free(a);
	if (rc < 0)
		return rc;
	if (!elf_has_pvh_note(out, image->elf_len))
		return err_set(e, ERR_KERNEL_BAD, "payload is no x86-64 ELF with a PVH note");
	*ret_len = image->elf_len;
	*ret_elf = take_ptr(&out);
	return 0;
}

void vmlinux_release(const void *data, size_t len, char out[VMLINUX_RELEASE_MAX])
{
	static const char banner[] = "Linux version ";
	const uint8_t *p = data;
	const uint8_t *at = p;

	out[0] = '\0';
	/* The banner also occurs as a format string, "Linux version %s". */
	while ((at = memmem(at, len - (size_t)(at - p), banner, sizeof(banner) - 1)) != NULL) {
		at += sizeof(banner) - 1;
		release_copy(at, len - (size_t)(at - p), out);
		if (out[0] >= '0' && out[0] <= '9')
			return;
	}
	out[0] = '\0';
}
