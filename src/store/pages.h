/* pages.h - how many pages of the map count as ours.
 *
 * Whoever reads or writes the store maps its pages, and pages that are mapped count as the
 * process's resident memory, the whole database in the end.  So every now and then they are given
 * back: they stay in the page cache, and the next access maps them again.  Dropping page table
 * entries of a shared file mapping loses nothing, also under a thread that works on them.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

enum { /* bytes of keys and values that may be gone through between two returns */
       PAGES_KEEP_BUSY = 256 * 1024,
       PAGES_KEEP_IDLE = 16 * 1024, /* with nothing left to do */
};

struct pages {
	void *map; /* borrowed from LMDB; NULL: not known, and nothing is given back */
	size_t bytes;
	atomic_size_t touched; /* bytes of keys and values since the last return */
};

/* Finds the map of this file, after it was mapped and whenever it has moved. */
void pages_find(struct pages *p, int fd);

/* So many more bytes of keys and values have been read or written; gives the pages back when there
 * are `keep` by now.  Any thread. */
void pages_touched(struct pages *p, size_t bytes, size_t keep);
