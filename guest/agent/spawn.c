#include "guest/agent/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/shell.h"

enum spawn_step {
	SPAWN_SETUP,
	SPAWN_CHDIR,
	SPAWN_EXEC,
};

struct spawn_failure {
	int32_t num;
	int32_t step;
};

/* Both ends of each stream: [0] ours, [1] the child's. */
struct streams {
	int in[2], out[2], err[2], failure[2];
};

static const struct streams streams_none = {
	.in = { -EBADF, -EBADF },
	.out = { -EBADF, -EBADF },
	.err = { -EBADF, -EBADF },
	.failure = { -EBADF, -EBADF },
};

static void streams_close(struct streams *s, int side)
{
	close_fd(&s->in[side]);
	close_fd(&s->out[side]);
	close_fd(&s->err[side]);
	close_fd(&s->failure[side]);
}

/* A pipe of which we keep one end, non-blocking. */
static int pipe_open(int ends[2], bool ours_writes)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	ends[0] = p[ours_writes ? 1 : 0];
	ends[1] = p[ours_writes ? 0 : 1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int pipes_open(struct streams *s, bool stdin_open)
{
	int rc = 0;

	if (stdin_open)
		rc = pipe_open(s->in, true);
	else if ((s->in[1] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		rc = -errno;
	if (rc == 0)
		rc = pipe_open(s->out, false);
	return rc == 0 ? pipe_open(s->err, false) : rc;
}

/* One terminal; our end of it twice, since input and output are watched apart. */
static int terminal_open(struct streams *s, uint32_t rows, uint32_t cols)
{
	if (openpty(&s->out[0], &s->out[1], NULL, NULL, NULL) < 0)
		return -errno;
	if (fcntl(s->out[0], F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(s->out[1], F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(s->out[0], F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	s->in[0] = fcntl(s->out[0], F_DUPFD_CLOEXEC, 0);
	if (s->in[0] < 0)
		return -errno;
	terminal_resize(s->out[0], rows, cols);
	return 0;
}

void terminal_resize(int fd, uint32_t rows, uint32_t cols)
{
	const struct winsize size = {
		.ws_row = (unsigned short)(rows > UINT16_MAX ? UINT16_MAX : rows),
		.ws_col = (unsigned short)(cols > UINT16_MAX ? UINT16_MAX : cols),
	};

	if (rows > 0 && cols > 0)
		(void)ioctl(fd, TIOCSWINSZ, &size);
}

/* ---- the child ---- */

static _Noreturn void child_fail(int fd, enum spawn_step step)
{
	const struct spawn_failure f = { .num = errno, .step = (int32_t)step };

	IGNORE(write(fd, &f, sizeof(f)) < 0);
	_exit(127);
}

/* The agent outlives a guest that is short of memory; what it runs has no such right. */
static void oom_score_reset(void)
{
	CLEANUP_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		IGNORE(write(fd, "0", 1) < 0);
}

static void signals_reset(void)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
}

static int child_streams(const struct streams *s, bool tty)
{
	const int in = tty ? s->out[1] : s->in[1];
	const int err = tty ? s->out[1] : s->err[1];

	if (tty && ioctl(s->out[1], TIOCSCTTY, 0) < 0)
		return -1;
	return dup2(in, STDIN_FILENO) < 0 || dup2(s->out[1], STDOUT_FILENO) < 0 ||
			       dup2(err, STDERR_FILENO) < 0
		       ? -1
		       : 0;
}

/* What reads the disk is done here and not before the fork: a disk may let its readers wait, and
 * the agent answers others meanwhile. */
static _Noreturn void child_command(const struct streams *s, const struct guest_exec_args *args)
{
	struct strv env = { 0 };
	struct shell shell;

	signals_reset();
	oom_score_reset();
	if (setsid() < 0 || child_streams(s, args->tty) < 0)
		child_fail(s->failure[1], SPAWN_SETUP);
	shell_find(&shell);
	if (shell_environment(&shell, &args->env, args->tty, &env) < 0) {
		errno = ENOMEM;
		child_fail(s->failure[1], SPAWN_SETUP);
	}
	if (chdir(args->cwd[0] != '\0' ? args->cwd : shell.home) < 0)
		child_fail(s->failure[1], SPAWN_CHDIR);
	environ = env.v;
	if (args->argv.n > 0)
		(void)execvp(args->argv.v[0], args->argv.v);
	else
		(void)execl(shell.path, shell.login_name, (char *)NULL);
	child_fail(s->failure[1], SPAWN_EXEC);
}

/* ---- the parent ---- */

static int streams_open(struct streams *s, const struct guest_exec_args *args)
{
	int rc = args->tty ? terminal_open(s, args->rows, args->cols)
			   : pipes_open(s, args->stdin_open);

	return rc == 0 ? pipe_open(s->failure, false) : rc;
}

static void hand_over(struct streams *s, pid_t pid, struct spawned *ret)
{
	*ret = (struct spawned){
		.pid = pid,
		.in = take_fd(&s->in[0]),
		.out = take_fd(&s->out[0]),
		.err = take_fd(&s->err[0]),
		.failure = take_fd(&s->failure[0]),
	};
}

int spawn_command(const struct guest_exec_args *args, struct spawned *ret_spawned, struct err *e)
{
	struct streams s = streams_none;
	pid_t pid = -1;
	int rc = streams_open(&s, args);

	if (rc == 0) {
		pid = fork();
		if (pid == 0)
			child_command(&s, args);
		rc = pid < 0 ? -errno : 0;
	}
	if (rc == 0)
		hand_over(&s, pid, ret_spawned);
	else
		(void)err_num(e, ERR_EXEC_FAILED, rc, "start");
	streams_close(&s, 0);
	streams_close(&s, 1);
	return rc;
}

/* ---- functions ---- */

int spawn_sync_work(const void *arg)
{
	(void)arg;
	sync();
	return EXIT_SUCCESS;
}

/* Streams that are not wanted are /dev/null, so that no file gets their numbers. */
static int function_streams(struct streams *s, enum spawn_streams wanted)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int rc = null < 0 ? -errno : pipe_open(s->failure, false);

	s->in[1] = wanted == SPAWN_INPUT ? -EBADF : fcntl(null, F_DUPFD_CLOEXEC, 0);
	s->out[1] = wanted == SPAWN_OUTPUT ? -EBADF : fcntl(null, F_DUPFD_CLOEXEC, 0);
	s->err[1] = wanted == SPAWN_NO_STREAMS ? fcntl(null, F_DUPFD_CLOEXEC, 0) : -EBADF;
	if (rc == 0 && wanted == SPAWN_INPUT)
		rc = pipe_open(s->in, true);
	if (rc == 0 && wanted == SPAWN_OUTPUT)
		rc = pipe_open(s->out, false);
	if (rc == 0 && wanted != SPAWN_NO_STREAMS)
		rc = pipe_open(s->err, false);
	if (null >= 0)
		close(null);
	return rc;
}

/* The descriptors that it inherits without an exec to close them are other commands' pipes, which
 * would not end while it lives. */
static _Noreturn void child_function(const struct streams *s, spawn_work *work, const void *arg)
{
	signals_reset();
	oom_score_reset();
	if (setsid() < 0 || child_streams(s, false) < 0 ||
	    dup2(s->failure[1], SPAWN_REPORT_FD) < 0 ||
	    close_range(SPAWN_REPORT_FD + 1, ~0U, 0) < 0)
		_exit(EXIT_FAILURE);
	_exit(work(arg));
}

int spawn_function(spawn_work *work, const void *arg, enum spawn_streams streams,
		   struct spawned *ret_spawned, struct err *e)
{
	struct streams s = streams_none;
	int rc = function_streams(&s, streams);
	pid_t pid = -1;

	if (rc == 0) {
		pid = fork();
		if (pid == 0)
			child_function(&s, work, arg);
		rc = pid < 0 ? -errno : 0;
	}
	if (rc == 0)
		hand_over(&s, pid, ret_spawned);
	else
		(void)err_num(e, ERR_EXEC_FAILED, rc, "start");
	streams_close(&s, 0);
	streams_close(&s, 1);
	return rc;
}

int spawn_failure_read(int fd, const char *what, struct err *e)
{
	struct spawn_failure f;

	if (fd < 0 || read(fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
		return 0;
	switch ((enum spawn_step)f.step) {
	case SPAWN_CHDIR:
		return err_num(e, ERR_EXEC_FAILED, f.num, "working directory");
	case SPAWN_EXEC:
		if (f.num == ENOENT || f.num == ENOTDIR)
			return err_num(e, ERR_EXEC_NOT_FOUND, f.num, "%s", what);
		if (f.num == E2BIG || f.num == ENOMEM)
			return err_num(e, ERR_EXEC_FAILED, f.num, "%s", what);
		return err_num(e, ERR_EXEC_DENIED, f.num, "%s", what);
	case SPAWN_SETUP:
		break;
	}
	return err_num(e, ERR_EXEC_FAILED, f.num, "start");
}
