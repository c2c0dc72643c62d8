#include "actors/vmm_host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/limits.h"
#include "base/cleanup.h"

#define KVM_DEVICE "/dev/kvm"

enum {
	SAID_MAX = 512, /* bytes that are looked at */
};

static int version_spawn(const char *program, int out, pid_t *ret_pid)
{
	char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t) "--version", NULL };
	char *const envp[] = { NULL };
	posix_spawn_file_actions_t files;

	posix_spawn_file_actions_init(&files);
	int rc = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY,
						      0);
	if (rc == 0)
		rc = posix_spawn(ret_pid, program, &files, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&files);
	return -rc;
}

/* Until it has said all, or enough, or for long enough nothing. */
static void read_said(int fd, char said[SAID_MAX + 1])
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < SAID_MAX) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		n = poll(&p, 1, VMM_ASK_MS) > 0 ? read(fd, said + len, SAID_MAX - len) : 0;
		len += n > 0 ? (size_t)n : 0;
	}
	said[len] = '\0';
}

static int version_ask(const struct vmm_driver *d, const char *program, struct vmm_host *h)
{
	char said[SAID_MAX + 1];
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(&h->err, ERR_HOST_FILES, "pipe");
	const int rc = version_spawn(program, ends[1], &pid);
	close_fd(&ends[1]);
	if (rc < 0) {
		close_fd(&ends[0]);
		return err_num(&h->err, ERR_VMM_MISSING, rc, "%s", program);
	}
	read_said(ends[0], said);
	close_fd(&ends[0]);
	IGNORE(kill(pid, SIGKILL) < 0); /* it has said what it has to say */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return d->version(said, h->version, &h->err);
}

static int kvm_look(struct err *e)
{
	CLEANUP_FD int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? err_sys(e, ERR_VMM_NO_KVM, KVM_DEVICE) : 0;
}

void vmm_host_ask(const struct vmm_driver *d, const char *program, struct vmm_host *ret_host)
{
	struct vmm_host h = { 0 };
	int rc = program[0] ? 0
			    : err_set(&h.err, ERR_VMM_MISSING, "%s is not installed", d->program);

	if (rc == 0 && d->version)
		rc = version_ask(d, program, &h);
	if (rc == 0 && d->kvm_only)
		rc = kvm_look(&h.err);
	h.usable = rc == 0;
	*ret_host = h;
}
