/* resolver.h - the worker `resolver`: tells systemd-resolved where `.vm` names are answered.
 *
 * It is a worker of its own since it speaks D-Bus by a library that allocates: it keeps no
 * capability at all, root's uid being what systemd-resolved asks for.
 */
#pragma once

#include "helper/op.h"

int resolver_open(const struct helper_conf *conf, void **ret_env, struct err *e);

op_validate resolver_validate, resolver_sync_validate;
op_step resolver_act, resolver_undo;
