/* stats.h - what this guest has used so far. */
#pragma once

#include "proto/client.h"

void stats_read(struct guest_stats *ret_stats); /* what cannot be read stays zero */
