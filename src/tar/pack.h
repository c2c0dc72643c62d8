/* pack.h - a file or a tree as a tar archive, made as it is read.
 *
 *   ps = pack_open("/srv/www", &how, &p, &e);
 *   while ((n = pack_read(p, buf, sizeof(buf), &e)) > 0) ...
 *
 * Owners, modes, times, symbolic and hard links, holes and attributes of users are kept; sockets
 * are left out.  The tree may change meanwhile: what vanishes is left out, what shrinks is filled
 * with zeros, and a note says so.  Memory does not grow with sizes or counts, but for the names of
 * files with several links, of which PACK_LINKS_MAX are remembered.  Blocks on the disk.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	PACK_LINKS_MAX = 65536,   /* files with more links than one that are known at once */
	PACK_NOTES_MAX = 8 << 10, /* bytes of notes not taken yet; more are counted */
};

struct pack_how {
	const char *as; /* the root's name in the archive; ".": its contents, without it */
	bool follow;    /* the root itself may be a symbolic link to what is meant */
};

struct pack;

int pack_open(const char *path, const struct pack_how *how, struct pack **ret_pack,
	      struct err *e) MUST_CHECK;
/* Fills `to` as far as the archive goes; 0 at its end. */
ssize_t pack_read(struct pack *p, uint8_t *to, size_t size, struct err *e) MUST_CHECK;
void pack_close(struct pack *p); /* NULL is fine */

uint64_t pack_entries(const struct pack *p);
uint64_t pack_bytes(const struct pack *p); /* of files, holes included */
struct buf *pack_notes(struct pack *p);    /* lines; the caller consumes them */

/* Each level of a tree holds a descriptor: lets this process have as many as it may. */
void pack_descriptors_raise(void);

/* The name that a copy of `path` gets: its last component; "." where that is none of its own
 * ("/", "x/.", ".."). */
void pack_name(const char *path, char out[NAME_MAX + 1]);
