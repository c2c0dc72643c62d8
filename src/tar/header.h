/* header.h - the block that begins every member, as POSIX.1-1988 ustar and GNU tar lay it out. */
#pragma once

#include <assert.h>

#include "tar/entry.h"

struct tar_header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char linkname[100];
	char magic[8]; /* "ustar", NUL, "00"; GNU: "ustar", two blanks, NUL */
	char uname[32];
	char gname[32];
	char dev_major[8];
	char dev_minor[8];
	char prefix[155]; /* of the name; GNU keeps other things here */
	char unused[12];
};
static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a header is one block");

#define TAR_MAGIC                                                                                  \
	"ustar\0"                                                                                  \
	"00"
#define TAR_MAGIC_GNU "ustar  "

/* Types besides those of enum tar_kind, which are '0' plus the kind. */
enum {
	TAR_TYPE_FILE_OLD = '\0',
	TAR_TYPE_CONTIGUOUS = '7',
	TAR_TYPE_PAX = 'x',
	TAR_TYPE_PAX_GLOBAL = 'g',
	TAR_TYPE_LONG_NAME = 'L', /* GNU: the next entry's name */
	TAR_TYPE_LONG_LINK = 'K', /* ... or target */
	TAR_TYPE_SPARSE = 'S',    /* GNU, before there was pax */
	TAR_TYPE_VOLUME = 'V',
};

/* Keys of pax records that both sides know. */
#define PAX_XATTR        "SCHILY.xattr."
#define PAX_SPARSE_MAJOR "GNU.sparse.major"
#define PAX_SPARSE_MINOR "GNU.sparse.minor"
#define PAX_SPARSE_NAME  "GNU.sparse.name"
#define PAX_SPARSE_SIZE  "GNU.sparse.realsize"

/* The sum of all bytes, those of the checksum itself taken as blanks. */
uint32_t tar_checksum(const struct tar_header *h);
