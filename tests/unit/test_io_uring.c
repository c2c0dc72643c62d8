/* test_io_uring.c - what only the real implementation can show: processes, paths, limits. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/io_probe.h"

/* ---- worker threads ---- */

/* What the start's job releases, one byte for each of the others. */
static int gate[2];

enum {
	SLOW_JOBS = 4 * IO_LANE_THREADS,
	NOBODY = 65534,
};
#define WORKER "boxfort" /* what Criterion calls the process of a test */

static int wait_for_the_start(void *arg, const bool *cancelled)
{
	char byte;

	(void)arg;
	(void)cancelled;
	return (int)read(gate[0], &byte, 1);
}

static int open_the_gate(void *arg, const bool *cancelled)
{
	static const char bytes[SLOW_JOBS];

	(void)arg;
	(void)cancelled;
	return (int)write(gate[1], bytes, sizeof(bytes));
}

Test(io_work, a_start_does_not_wait_behind_slow_jobs, .timeout = 60)
{
	struct probe *p = probe_up();
	struct io_op slow[SLOW_JOBS];
	struct io_op start;

	cr_assert_eq(pipe2(gate, O_CLOEXEC), 0);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		io_op_init(&slow[i], &p->actor, PROBE_WORK);
		io_work(p->io, &slow[i], IO_LANE_ANY, wait_for_the_start, NULL);
	}
	io_op_init(&start, &p->actor, PROBE_WORK);
	io_work(p->io, &start, IO_LANE_START, open_the_gate, NULL);
	PROBE_UNTIL(p, p->n == SLOW_JOBS + 1);
	cr_assert_eq(start.msg.res, SLOW_JOBS);
	close(gate[0]);
	close(gate[1]);
	probe_down(p);
}

/* ---- child processes ---- */

struct child_run {
	struct strv argv;
	struct io_spawn sp;
	struct io_op op;
	struct io_op exit;
	int status;
};

static void run_shell(struct probe *p, struct child_run *r, const char *script)
{
	cr_assert_eq(strv_add(&r->argv, "/bin/sh"), 0);
	cr_assert_eq(strv_add(&r->argv, "-c"), 0);
	cr_assert_eq(strv_add(&r->argv, script), 0);
	r->sp.argv = &r->argv;
	r->sp.cgroup_fd = -EBADF;
	io_op_init(&r->op, &p->actor, PROBE_SPAWN);
	io_op_init(&r->exit, &p->actor, PROBE_POLL);
	io_spawn(p->io, &r->op, &r->sp);
	PROBE_UNTIL(p, !io_op_busy(&r->op));
}

static void wait_exit(struct probe *p, struct child_run *r)
{
	io_poll(p->io, &r->exit, r->sp.pidfd, POLLIN);
	PROBE_UNTIL(p, !io_op_busy(&r->exit));
	cr_assert_eq(io_reap(p->io, r->sp.pidfd, &r->status), 0);
	io_close(p->io, r->sp.pidfd);
	strv_fini(&r->argv);
}

Test(io_spawn, the_exit_status_comes_through_the_pidfd)
{
	struct probe *p = probe_up();
	struct child_run r = { 0 };

	run_shell(p, &r, "exit 7");
	cr_assert_eq(r.op.msg.res, 0, "%s", r.sp.err.text);
	cr_assert_gt(r.sp.pid, 0);
	cr_assert_gt(r.sp.start_ticks, 0);
	wait_exit(p, &r);
	cr_assert(WIFEXITED(r.status));
	cr_assert_eq(WEXITSTATUS(r.status), 7);
	probe_down(p);
}

Test(io_spawn, a_program_that_is_not_there_is_named_and_leaves_no_zombie)
{
	struct probe *p = probe_up();
	struct strv argv = { 0 };
	struct io_spawn sp = { .argv = &argv, .cgroup_fd = -EBADF };
	struct io_op op;

	cr_assert_eq(strv_add(&argv, "/no/such/program"), 0);
	io_op_init(&op, &p->actor, PROBE_SPAWN);
	io_spawn(p->io, &op, &sp);
	PROBE_UNTIL(p, p->n == 1);
	cr_assert_eq(op.msg.res, -ENOENT);
	cr_assert_str_eq(sp.err.text, "spawn /no/such/program: exec: No such file or directory");
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
	cr_assert_eq(errno, ECHILD);
	strv_fini(&argv);
	probe_down(p);
}

Test(io_spawn, descriptors_land_on_their_targets_whatever_their_numbers_and_no_other_is_seen)
{
	struct probe *p = probe_up();
	struct child_run r = { 0 };
	int ab[2];
	int stray[2];
	char text[64] = { 0 };

	cr_assert_eq(pipe(ab), 0);
	cr_assert_eq(pipe(stray), 0); /* without O_CLOEXEC on purpose */
	cr_assert_eq(fcntl(ab[1], F_DUPFD, 40), 40);
	/* 3 and 4 change places with what is there now, and one has a high number. */
	r.sp.fds[0] = (struct io_spawn_fd){ .fd = 40, .target = 9 };
	r.sp.fds[1] = (struct io_spawn_fd){ .fd = ab[1], .target = ab[0] };
	r.sp.fds[2] = (struct io_spawn_fd){ .fd = ab[0], .target = ab[1] };
	r.sp.nfds = 3;
	char script[256];
	snprintf(script, sizeof(script),
		 "cd /proc/$$/fd; for i in *; do case $i in 0|1|2|%d|%d|9) ;; *) "
		 "[ -e $i ] && echo stray $i >&9;; esac; done; echo x >/dev/fd/%d; exit 0",
		 ab[0], ab[1], ab[0]);
	run_shell(p, &r, script);
	cr_assert_eq(r.op.msg.res, 0, "%s", r.sp.err.text);
	wait_exit(p, &r);
	cr_assert_eq(r.status, 0);
	cr_assert_gt(read(ab[0], text, sizeof(text) - 1), 0);
	cr_assert_str_eq(text, "x\n");
	probe_down(p);
}

Test(io_spawn, a_killed_group_takes_the_childrens_children_along)
{
	struct probe *p = probe_up();
	struct child_run r = { .sp = { .new_session = true } };
	int pair[2];
	char c;

	/* The grandchild keeps its end open for as long as it lives. */
	cr_assert_eq(io_pair(p->io, pair), 0);
	r.sp.fds[0] = (struct io_spawn_fd){ .fd = pair[1], .target = 1 };
	r.sp.nfds = 1;
	run_shell(p, &r, "(echo; exec sleep 1000) & wait");
	cr_assert_eq(r.op.msg.res, 0, "%s", r.sp.err.text);
	io_close(p->io, pair[1]);
	cr_assert_eq(read(pair[0], &c, 1), 1);
	cr_assert_eq(io_kill_group(p->io, r.sp.pid, SIGKILL), 0);
	cr_assert_eq(read(pair[0], &c, 1), 0);
	wait_exit(p, &r);
	cr_assert(WIFSIGNALED(r.status));
	io_close(p->io, pair[0]);
	probe_down(p);
}

Test(io_spawn, signals_session_and_limit_are_as_asked)
{
	struct probe *p = probe_up();
	struct child_run r = { .sp = { .new_session = true, .nofile = 77 } };
	int out[2];
	char text[256] = { 0 };

	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe(out), 0);
	r.sp.fds[0] = (struct io_spawn_fd){ .fd = out[1], .target = 1 };
	r.sp.nfds = 1;
	run_shell(p, &r,
		  "ulimit -n; grep -E '^Sig(Ign|Blk)' /proc/self/status; "
		  "read -r pid name state ppid pgrp sid rest </proc/$$/stat; "
		  "[ $sid = $$ ] && echo leader");
	wait_exit(p, &r);
	cr_assert_gt(read(out[0], text, sizeof(text) - 1), 0);
	cr_assert_str_eq(text,
			 "77\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nleader\n");
	probe_down(p);
}

Test(io_spawn, a_survivor_is_adopted_only_with_its_own_start_time_and_words)
{
	struct probe *p = probe_up();
	struct child_run r = { 0 };
	int out[2];
	char up;

	cr_assert_eq(pipe(out), 0);
	r.sp.fds[0] = (struct io_spawn_fd){ .fd = out[1], .target = 1 };
	r.sp.nfds = 1;
	run_shell(p, &r, "echo up; while :; do kill -STOP $$; done");
	/* Its words are its own from its exec on. */
	cr_assert_eq(read(out[0], &up, 1), 1);
	cr_assert_eq(io_adopt(p->io, r.sp.pid, r.sp.start_ticks + 1, "while"), -ESRCH);
	cr_assert_eq(io_adopt(p->io, r.sp.pid, 0, "while"), -ESRCH);
	cr_assert_eq(io_adopt(p->io, r.sp.pid, r.sp.start_ticks, "until"), -ESRCH);
	const int fd = io_adopt(p->io, r.sp.pid, r.sp.start_ticks, "while");
	cr_assert_geq(fd, 0);
	cr_assert_eq(io_kill(p->io, fd, SIGKILL), 0);
	wait_exit(p, &r);
	cr_assert_eq(WTERMSIG(r.status), SIGKILL);
	cr_assert_eq(io_kill(p->io, fd, SIGKILL), -ESRCH);
	io_close(p->io, fd);
	probe_down(p);
}

/* As banger-net does: its files in /proc are root's from then on. */
static pid_t fork_secretive(void)
{
	int up[2];
	char byte;

	cr_assert_eq(pipe(up), 0);
	const pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		IGNORE(write(up[1], "u", 1) < 0);
		for (;;)
			(void)pause();
	}
	cr_assert_eq(read(up[0], &byte, 1), 1);
	close(up[0]);
	close(up[1]);
	return pid;
}

struct sought {
	pid_t pid;
	uint64_t *ticks;
};

static int note_ticks(void *arg, pid_t pid, uint64_t ticks, const char *cmdline, size_t len)
{
	const struct sought *s = arg;

	(void)cmdline;
	(void)len;
	if (pid == s->pid)
		*s->ticks = ticks;
	return 0;
}

Test(io_spawn, a_process_that_lets_nobody_look_into_it_is_found_again_by_an_ordinary_user)
{
	struct probe *p = probe_up();
	uint64_t ticks = 0;
	struct stat st;
	char path[64];

	if (geteuid() == 0)
		cr_assert_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	const pid_t pid = fork_secretive();

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_uid, 0, "as proc(5) has it");
	cr_expect_eq(io_each_process(p->io, WORKER, note_ticks, &(struct sought){ pid, &ticks }),
		     0);
	const int fd = io_adopt(p->io, pid, ticks, WORKER);

	kill(pid, SIGKILL); /* whatever is found: it ends with the test */
	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	io_close(p->io, fd);
	probe_down(p);
}

Test(io_spawn, a_pidfd_poll_can_be_cancelled)
{
	struct probe *p = probe_up();
	struct child_run r = { 0 };

	run_shell(p, &r, "kill -STOP $$");
	io_poll(p->io, &r.exit, r.sp.pidfd, POLLIN);
	struct io_timer t;
	io_timer_init(&t, &p->actor, PROBE_TIMER);
	io_timer_set(p->io, &t, 1, 0);
	PROBE_UNTIL(p, probe_count(p, PROBE_TIMER) == 1);
	io_cancel(p->io, &r.exit);
	PROBE_UNTIL(p, !io_op_busy(&r.exit));
	cr_assert_eq(r.exit.msg.res, -ECANCELED);
	cr_assert_eq(io_kill(p->io, r.sp.pidfd, SIGKILL), 0);
	wait_exit(p, &r);
	probe_down(p);
}

/* ---- paths ---- */

Test(io_unix, a_path_longer_than_an_address_works_both_ways)
{
	struct probe *p = probe_up();
	struct probe_pair pair;
	char path[512];

	snprintf(path, sizeof(path), "%s", probe_path("d"));
	while (strlen(path) < 200) {
		cr_assert_eq(mkdir(path, 0700), 0);
		strcat(path, "/a-rather-long-name-of-a-directory");
	}
	cr_assert_eq(mkdir(path, 0700), 0);
	strcat(path, "/sock");
	probe_connect(p, &pair, path);
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io_unix, a_socket_is_private_and_leaves_other_files_alone)
{
	struct probe *p = probe_up();
	const char *path = probe_path("private");
	struct stat st;
	struct err e = { 0 };

	umask(0);
	int fd = io_listen_unix(p->io, path, &e);
	cr_assert_geq(fd, 0, "%s", e.text);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	close_fd(&fd);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert_eq(io_listen_unix(p->io, path, &e), -EEXIST);
	probe_down(p);
}

/* ---- limits ---- */

static void client(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	cr_assert_eq(connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
}

Test(io_listener, out_of_descriptors_is_a_pause_and_no_spin)
{
	struct probe *p = probe_up();
	struct io_listener l;
	const char *path = probe_path("full");
	struct rlimit lim;
	struct io_timer t;

	probe_listen(p, &l, path);
	client(path);
	PROBE_UNTIL(p, p->n == 1);
	const int first = io_listener_next(p->io, &l);
	cr_assert_geq(first, 0);
	client(path);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &lim), 0);
	const rlim_t before = lim.rlim_cur;
	lim.rlim_cur = 3;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
	io_timer_init(&t, &p->actor, PROBE_TIMER);
	io_timer_set(p->io, &t, IO_ACCEPT_BACKOFF_MS / 2, 0);
	int turns = 0;
	while (probe_count(p, PROBE_TIMER) == 0) {
		cr_assert_eq(io_turn(p->io), 0);
		turns++;
	}
	cr_assert_lt(turns, 20, "%d turns in %d ms", turns, IO_ACCEPT_BACKOFF_MS / 2);
	lim.rlim_cur = before;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
	int second = -EAGAIN;
	PROBE_UNTIL(p, second >= 0 || (second = io_listener_next(p->io, &l)) >= 0);
	io_listener_close(p->io, &l);
	PROBE_UNTIL(p, l.closed && list_empty(&p->actors.runnable));
	probe_down(p);
}

/* ---- descriptors that are passed ---- */

static void pass(int to, const char *byte, const int *fds, size_t n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(IO_STREAM_FDS * sizeof(int))];
	} control = { .room = "" };
	struct iovec iov = { (void *)(uintptr_t)byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.room,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n * sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	cr_assert_eq(sendmsg(to, &m, MSG_NOSIGNAL), 1);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

Test(io_stream, passed_descriptors_come_in_order_and_are_ours, .timeout = 60)
{
	struct probe *p = probe_up();
	struct io_stream s;
	int ends[2];
	int pipes[2 * 3];
	const uint8_t *data;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	cr_assert_eq(io_stream_open_passing(p->io, &s, &p->actor, PROBE_A, ends[0]), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pipe2(pipes + 2 * i, O_CLOEXEC), 0);
	cr_assert_eq(io_stream_take_fd(&s), -EAGAIN);
	pass(ends[1], "a", pipes, 2);
	pass(ends[1], "b", pipes + 2, 1);
	pass(ends[1], "c", pipes + 3, 3);
	PROBE_UNTIL(p, io_stream_unread(&s) == 3);
	cr_assert_eq(io_stream_peek(&s, &data), 3);
	cr_assert_eq(memcmp(data, "abc", 3), 0);
	for (int i = 0; i < 4; i++) { /* two stay on the stream, which closes them */
		const int fd = io_stream_take_fd(&s);

		cr_assert_geq(fd, 0);
		cr_assert_eq(inode_of(fd), inode_of(pipes[i]), "descriptor %d", i);
		cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	}
	for (int i = 0; i < 3; i++)
		close(pipes[2 * i + 1]); /* the last writer of the third is what still waits */
	io_stream_close(p->io, &s, 0);
	PROBE_UNTIL(p, s.closed && list_empty(&p->actors.runnable));
	cr_assert_eq(read(pipes[4], &(char){ 0 }, 1), 0, "somebody still holds the other end");
	for (int i = 0; i < 3; i++)
		close(pipes[2 * i]);
	close(ends[1]);
	probe_down(p);
}

Test(io_stream, more_descriptors_than_may_wait_are_closed, .timeout = 60)
{
	struct probe *p = probe_up();
	struct io_stream s;
	int ends[2];
	int pipes[2];
	int n = 0;
	int fd;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
	cr_assert_eq(io_stream_open_passing(p->io, &s, &p->actor, PROBE_A, ends[0]), 0);
	for (size_t i = 0; i < 2 * IO_STREAM_FDS; i++)
		pass(ends[1], "x", &pipes[1], 1);
	PROBE_UNTIL(p, io_stream_unread(&s) == 2UL * IO_STREAM_FDS);
	while ((fd = io_stream_take_fd(&s)) >= 0) {
		n++;
		close(fd);
	}
	cr_assert_eq(n, IO_STREAM_FDS);
	close(pipes[1]);
	cr_assert_eq(read(pipes[0], &(char){ 0 }, 1), 0, "somebody still holds the other end");
	io_stream_close(p->io, &s, 0);
	PROBE_UNTIL(p, s.closed && list_empty(&p->actors.runnable));
	close(pipes[0]);
	close(ends[1]);
	probe_down(p);
}
