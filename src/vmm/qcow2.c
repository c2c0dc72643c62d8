/* qcow2.c - the metadata of an empty overlay.  Layout (docs/interop/qcow2.txt of QEMU), in clusters
 * of 64 KiB, numbers big-endian:
 *
 *   0   header, its extensions, the backing file's name
 *   1   refcount table: one entry, to the next cluster
 *   2   refcount block: one for each cluster of the file so far
 *   3-  L1 table, all zero: every cluster is still in the backing file
 *
 * The file ends with the L1 table's last entry, as those that qemu-img makes do.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "vmm/vmm.h"

enum {
	CLUSTER_BITS = 16,
	CLUSTER_BYTES = 1 << CLUSTER_BITS,
	SECTOR_BYTES = 512,
	NAME_MAX_BYTES = 1023, /* of the backing file, by the specification */
	REFCOUNT_ORDER = 4,    /* 16 bits each */
};

enum {
	AT_REFCOUNT_TABLE = 1 * CLUSTER_BYTES,
	AT_REFCOUNT_BLOCK = 2 * CLUSTER_BYTES,
	AT_L1 = 3 * CLUSTER_BYTES,
};

/* One L1 entry leads to a cluster of L2 entries, each of which leads to one cluster. */
#define BYTES_PER_L1     ((uint64_t)CLUSTER_BYTES / sizeof(uint64_t) * CLUSTER_BYTES)
#define EXTENSION_FORMAT UINT32_C(0xe2792aca) /* the backing file's format */
#define VIRTUAL_MAX      (UINT64_C(16) << 40) /* bytes; ours, to bound the L1 table */

struct header {
	uint8_t magic[4];
	uint32_t version;
	uint64_t backing_offset;
	uint32_t backing_len;
	uint32_t cluster_bits;
	uint64_t virtual_bytes;
	uint32_t crypt_method;
	uint32_t l1_entries;
	uint64_t l1_offset;
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint32_t nsnapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible_features;
	uint64_t compatible_features;
	uint64_t autoclear_features;
	uint32_t refcount_order;
	uint32_t header_len;
};
static_assert(sizeof(struct header) == QCOW2_HEADER_BYTES,
	      "the header of version 3 without optional fields");

/* The part that says how large the disk is. */
struct size {
	uint64_t virtual_bytes;
	uint32_t crypt_method;
	uint32_t l1_entries;
};
static_assert(sizeof(struct size) == sizeof(((struct qcow2_growth *)0)->bytes) &&
		      offsetof(struct header, l1_entries) -
				      offsetof(struct header, virtual_bytes) ==
			      offsetof(struct size, l1_entries),
	      "the same members in the same places");

struct extensions {
	uint32_t format_type;
	uint32_t format_len;
	char format[8]; /* padded to a multiple of 8 */
	uint32_t end_type;
	uint32_t end_len;
};
static_assert(sizeof(struct header) + sizeof(struct extensions) + NAME_MAX_BYTES < CLUSTER_BYTES,
	      "all fits into the first cluster");
static_assert(VIRTUAL_MAX / BYTES_PER_L1 * sizeof(uint64_t) / CLUSTER_BYTES + 3 <
		      CLUSTER_BYTES / sizeof(uint16_t),
	      "one refcount block covers the file");

static void put_refcounts(uint8_t *file, size_t clusters)
{
	const uint64_t block = htobe64(AT_REFCOUNT_BLOCK);
	const uint16_t one = htobe16(1);

	memcpy(file + AT_REFCOUNT_TABLE, &block, sizeof(block));
	for (size_t i = 0; i < clusters; i++)
		memcpy(file + AT_REFCOUNT_BLOCK + i * sizeof(one), &one, sizeof(one));
}

static void put_header(uint8_t *file, const char *backing, uint64_t virtual_bytes,
		       uint64_t l1_entries)
{
	const size_t backing_at = sizeof(struct header) + sizeof(struct extensions);
	const size_t backing_len = strlen(backing);
	const struct extensions ext = {
		.format_type = htobe32(EXTENSION_FORMAT),
		.format_len = htobe32(strlen("raw")),
		.format = "raw",
	};
	const struct header header = {
		.magic = { 'Q', 'F', 'I', 0xfb },
		.version = htobe32(3),
		.backing_offset = htobe64(backing_at),
		.backing_len = htobe32((uint32_t)backing_len),
		.cluster_bits = htobe32(CLUSTER_BITS),
		.virtual_bytes = htobe64(virtual_bytes),
		.l1_entries = htobe32((uint32_t)l1_entries),
		.l1_offset = htobe64(AT_L1),
		.refcount_table_offset = htobe64(AT_REFCOUNT_TABLE),
		.refcount_table_clusters = htobe32(1),
		.refcount_order = htobe32(REFCOUNT_ORDER),
		.header_len = htobe32(sizeof(struct header)),
	};

	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), &ext, sizeof(ext));
	memcpy(file + backing_at, backing, backing_len);
}

int qcow2_overlay(const char *backing_path, uint64_t virtual_bytes, struct buf *out, struct err *e)
{
	/* Anything but a path that begins so could be read as a protocol ("nbd:...") or as JSON. */
	if ((backing_path[0] != '/' && strncmp(backing_path, "../", 3) != 0) ||
	    strlen(backing_path) > NAME_MAX_BYTES)
		return err_num(e, ERR_BAD_REQUEST, EINVAL, "qcow2: backing file %.100s",
			       backing_path);
	if (virtual_bytes == 0 || virtual_bytes % SECTOR_BYTES != 0 || virtual_bytes > VIRTUAL_MAX)
		return err_num(e, ERR_BAD_REQUEST, EINVAL, "qcow2: a disk of %lu bytes",
			       virtual_bytes);

	const uint64_t l1_entries = (virtual_bytes + BYTES_PER_L1 - 1) / BYTES_PER_L1;
	const size_t bytes = AT_L1 + l1_entries * sizeof(uint64_t);
	uint8_t *file;
	const int rc = buf_reserve(out, bytes, &file);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "qcow2: overlay");
	memset(file, 0, bytes);
	put_header(file, backing_path, virtual_bytes, l1_entries);
	put_refcounts(file, (bytes + CLUSTER_BYTES - 1) / CLUSTER_BYTES);
	buf_commit(out, bytes);
	return 0;
}

/* The L1 table has whole clusters, of which it uses as much as its disk needs: it grows where it
 * is. */
int qcow2_grow(const uint8_t bytes[QCOW2_HEADER_BYTES], uint64_t virtual_bytes,
	       struct qcow2_growth *ret_growth, struct err *e)
{
	const uint64_t needed = (virtual_bytes + BYTES_PER_L1 - 1) / BYTES_PER_L1;
	const uint64_t per_cluster = CLUSTER_BYTES / sizeof(uint64_t);
	struct header h;

	memcpy(&h, bytes, sizeof(h));
	const uint64_t has = be32toh(h.l1_entries);
	const uint64_t room = (has + per_cluster - 1) / per_cluster * per_cluster;

	if (memcmp(h.magic, "QFI\xfb", sizeof(h.magic)) != 0 || be32toh(h.version) != 3 ||
	    be32toh(h.cluster_bits) != CLUSTER_BITS || be64toh(h.l1_offset) != AT_L1 || has == 0)
		return err_num(e, ERR_HOST_IO, EUCLEAN, "qcow2: not an overlay of ours");
	if (virtual_bytes % SECTOR_BYTES != 0 || virtual_bytes < be64toh(h.virtual_bytes))
		return err_set(e, ERR_VM_SIZE, "disk: it has %llu bytes, and only grows",
			       (unsigned long long)be64toh(h.virtual_bytes));
	if (needed > room)
		return err_set(e, ERR_VM_SIZE, "disk: at most %llu GiB, as it was made",
			       (unsigned long long)(room * BYTES_PER_L1 >> 30));
	const struct size size = { .virtual_bytes = htobe64(virtual_bytes),
				   .crypt_method = h.crypt_method,
				   .l1_entries = htobe32((uint32_t)(needed > has ? needed : has)) };

	ret_growth->at = offsetof(struct header, virtual_bytes);
	memcpy(ret_growth->bytes, &size, sizeof(size));
	ret_growth->file_bytes = AT_L1 + (needed > has ? needed : has) * sizeof(uint64_t);
	return 0;
}
