#include "image/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "image/fault.h"
#include "image/job.h"

enum {
	EXIT_NO_PROGRAM = 127,
	EXIT_SET_UP = 126,
};

/* The tool sees an ordinary machine: default signals, its own group, no descriptor of ours.
 * As root it is killed outright, for its namespace takes everything else along; otherwise it is
 * asked to end, because it has to clean up what it made with other user ids. */
static _Noreturn void tool_exec(char *const *argv, const char *dir, int out, int death)
{
	(void)prctl(PR_SET_PDEATHSIG, death, 0, 0, 0);
	(void)setpgid(0, 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	if (dup2(out, STDOUT_FILENO) < 0 || chdir(dir) < 0 || setenv("TMPDIR", dir, 1) < 0 ||
	    setenv("LC_ALL", "C.UTF-8", 1) < 0)
		_exit(EXIT_SET_UP);
	umask(022); /* what the tool makes for the image follows its umask */
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "E: %s: %s\n", argv[0], err_sys_text(errno));
	_exit(errno == ENOENT ? EXIT_NO_PROGRAM : EXIT_SET_UP);
}

static int status_of(int wstatus)
{
	return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 128 + WTERMSIG(wstatus);
}

static pid_t wait_for(pid_t pid, int *ret_wstatus)
{
	pid_t got;

	do
		got = waitpid(pid, ret_wstatus, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

/* Between us and a tool in a namespace: a PID namespace starts with the next child, and its first
 * process has to be the tool's, whose end is the end of all of them. */
static _Noreturn void guardian(char *const *argv, const char *dir, int out)
{
	int wstatus = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)setpgid(0, 0);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		tool_exec(argv, dir, out, SIGTERM); /* a container that forbids it */

	const pid_t pid = fork();

	if (pid < 0)
		_exit(EXIT_SET_UP);
	if (pid == 0) {
		(void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
		tool_exec(argv, dir, out, SIGKILL);
	}
	close_fd(&out);
	if (wait_for(pid, &wstatus) < 0)
		_exit(EXIT_SET_UP);
	_exit(status_of(wstatus));
}

int child_start(struct child *c, char *const *argv, const char *dir, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_sys(e, "%s: pipe", argv[0]);

	const pid_t pid = fork();

	if (pid < 0) {
		(void)fault_sys(e, "%s: fork", argv[0]);
		close(ends[0]);
		close(ends[1]);
		return err_errno(e);
	}
	if (pid == 0) {
		close(ends[0]);
		if (geteuid() == 0)
			guardian(argv, dir, ends[1]);
		tool_exec(argv, dir, ends[1], SIGTERM);
	}
	close(ends[1]);
	*c = (struct child){ .pid = pid, .out = ends[0], .name = argv[0] };
	return 0;
}

void child_close(struct child *c)
{
	close_fd(&c->out);
}

int child_wait(struct child *c, int *ret_status, struct err *e)
{
	int wstatus = 0;

	child_close(c);
	if (wait_for(c->pid, &wstatus) < 0)
		return fault_sys(e, "%s: wait", c->name);
	*ret_status = status_of(wstatus);
	return 0;
}

void child_last_words(const struct job *job, char out[CHILD_LINE_MAX])
{
	static char tail[CHILD_LOG_TAIL + 1];
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -EBADF;
	const char *last = "";
	char *rest = tail;
	char *line;

	out[0] = '\0';
	if (job_path(job, IMAGE_FILE_LOG, &path, NULL) < 0)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;

	const off_t end = lseek(fd, 0, SEEK_END);
	const ssize_t n = pread(fd, tail, CHILD_LOG_TAIL,
				end > CHILD_LOG_TAIL ? end - CHILD_LOG_TAIL : 0);

	tail[n < 0 ? 0 : n] = '\0';
	while ((line = strsep(&rest, "\r\n")) != NULL) {
		const bool complaint = strncmp(line, "E: ", 3) == 0;

		if (line[0] && (complaint || strncmp(last, "E: ", 3) != 0))
			last = line;
	}
	(void)snprintf(out, CHILD_LINE_MAX, "%s", last);
}
