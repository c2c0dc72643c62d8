/* fault.h - which row of errors.def a system error of the host belongs to. */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

static inline enum err_code fault_code(int num)
{
	switch (abs(num)) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_HOST_DISK_FULL;
	case ENOMEM:
		return ERR_HOST_MEMORY;
	case EMFILE:
	case ENFILE:
		return ERR_HOST_FILES;
	default:
		return ERR_HOST_IO;
	}
}

/* Sets `e` from errno; evaluates to -errno. */
#define fault_sys(e, ...) err_sys((e), fault_code(errno), __VA_ARGS__)
