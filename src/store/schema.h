/* schema.h - the version of what is stored, and the way forward from older ones. */
#pragma once

#include "store/store.h"

/* Brings the store from the version in STORE_META (none: 0) to the schema's, one version per
 * transaction.  ERR_STORE_VERSION when it is newer. */
int store_migrate(struct store *s, const struct store_schema *schema, struct err *e);
