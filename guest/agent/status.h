/* status.h - who and how this guest is. */
#pragma once

#include "proto/guest.h"

void status_read(struct guest_status *ret_status); /* what cannot be read stays empty */
