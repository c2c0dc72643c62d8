/* json.h - a struct as JSON text (RFC 8259), by its schema.
 *
 * The shape is stable: every field of the schema is written, also those that are zero and would be
 * left out on the wire, but for structs that need not be there and hold nothing.  An op_id is its
 * 26 characters, a VM's id its 12, "" when there is none; pairs are an object, a list is an array,
 * bytes are base64 (RFC 4648 section 4).  What is not UTF-8 becomes '?'.
 */
#pragma once

#include "proto/schema.h"

/* Appends one value, without a newline at the end; `pretty` with one field per line, indented by
 * two.  -ENOBUFS or -ENOMEM from the buffer, which is then unchanged. */
int schema_json(const struct schema *s, const void *obj, struct buf *out, bool pretty) MUST_CHECK;

/* Appends the one field that a path names: "state", "spec.vcpu", "spec.labels.tier" (what follows a
 * field of pairs is a key, and one that is absent is empty).  A string is bare, everything else as
 * above.  The path must be there: */
int schema_json_path(const struct schema *s, const void *obj, const char *path,
		     struct buf *out) MUST_CHECK;
bool schema_has_path(const struct schema *s, const char *path);
