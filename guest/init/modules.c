#include "guest/init/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* `path` is a line of the list, without its end. */
static int module_load(const char *path, struct err *e)
{
	const size_t len = strlen(path);
	const int flags = len > 3 && strcmp(path + len - 3, ".ko") != 0
				  ? MODULE_INIT_COMPRESSED_FILE
				  : 0;
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_GUEST_BOOT, "open %s", path);
	if (syscall(SYS_finit_module, fd, "", flags) < 0 && errno != EEXIST)
		return err_sys(e, ERR_GUEST_BOOT, "load %s", path);
	return 0;
}

int modules_load(const char *list_path, struct err *e)
{
	CLEANUP_FILE FILE *list = fopen(list_path, "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	int rc = 0;

	if (!list)
		return errno == ENOENT ? 0 : err_sys(e, ERR_GUEST_BOOT, "open %s", list_path);
	while (rc == 0 && getline(&line, &size, list) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] != '\0' && line[0] != '#')
			rc = module_load(line, e);
	}
	return rc;
}
