/* ports.h - who takes connections and datagrams in this guest. */
#pragma once

#include "proto/guest.h"

/* At most GUEST_PORTS_MAX, by protocol and port.  Released with guest_ports_schema. */
int ports_read(struct guest_ports *ret_ports, struct err *e);
