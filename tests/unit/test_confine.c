/* test_confine.c - what is left to banger-net once it is confined, tried from within. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net/confine.h"
#include "net/limits.h"

static int answer(long rc)
{
	return rc < 0 ? errno : 0;
}

static int reads_resolv_conf(void)
{
	return answer(open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC));
}

static int reads_another_file(void)
{
	return answer(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
}

static int lists_a_folder(void)
{
	return answer(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int writes_a_file(void)
{
	return answer(open("/tmp/banger-confine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int connects_a_unix_socket(void)
{
	return answer(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int listens_to_the_kernel(void)
{
	return answer(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int makes_a_socket(void)
{
	return answer(socket(AF_INET, SOCK_STREAM, 0));
}

static int executes(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	return answer(execv("/bin/true", argv));
}

static int forks(void)
{
	return answer(syscall(SYS_clone, 0, NULL, NULL, NULL, 0));
}

static int gives_itself_more(void)
{
	const struct rlimit more = { RLIM_INFINITY, RLIM_INFINITY };

	return answer(setrlimit(RLIMIT_NOFILE, &more));
}

static const struct attempt {
	const char *what;
	int (*try)(void);
	int error;      /* errno that it ends in; 0: it may */
	bool landlocks; /* ... by that, which a kernel may not have */
} attempts[] = {
	{ "the name servers' addresses are read", reads_resolv_conf, 0, false },
	{ "another file is read", reads_another_file, EACCES, true },
	{ "a folder is listed", lists_a_folder, EACCES, true },
	{ "a file is made", writes_a_file, EPERM, false },
	{ "a unix socket is made", connects_a_unix_socket, EPERM, false },
	{ "a netlink socket is made", listens_to_the_kernel, EPERM, false },
	{ "a socket is made", makes_a_socket, 0, false },
	{ "a program is executed", executes, EPERM, false },
	{ "a process is forked", forks, EPERM, false },
	{ "limits are raised", gives_itself_more, EPERM, false },
};

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* The status of a child that has confined itself and tried. */
static int tried(const struct attempt *a)
{
	const pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct err e = { 0 };

		_exit(confine(&e) < 0 ? 255 : a->try());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "%s: killed by %d", a->what, WTERMSIG(status));
	return WEXITSTATUS(status);
}

Test(confine, what_is_left)
{
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		const struct attempt *a = &attempts[i];

		if (!a->landlocks || has_landlock())
			cr_expect_eq(tried(a), a->error, "%s: %s", a->what, err_sys_text(tried(a)));
	}
}

/* Confined, it says so, and waits for our end of the socket to close. */
static pid_t confined_start(int ends[2])
{
	char word = 0;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	const pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct err e = { 0 };

		(void)close(ends[0]);
		if (confine(&e) < 0 || write(ends[1], "c", 1) != 1)
			_exit(1);
		_exit(read(ends[1], &word, 1) == 0 ? 0 : 1);
	}
	(void)close(ends[1]);
	cr_assert_eq(read(ends[0], &word, 1), 1);
	return pid;
}

Test(confine, limits)
{
	static const struct {
		const char *name;
		__rlimit_resource_t what;
		rlim_t most;
	} limits[] = {
		{ "descriptors", RLIMIT_NOFILE, NET_SOCKETS_MAX },
		{ "a file", RLIMIT_FSIZE, NET_LOG_BYTES },
		{ "a core", RLIMIT_CORE, 0 },
#if !defined(__SANITIZE_ADDRESS__)
		{ "memory", RLIMIT_DATA, NET_MEMORY_BYTES }, /* e2e hostile_net reaches it */
#endif
	};
	int ends[2], status;
	const pid_t pid = confined_start(ends);

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit now;

		cr_assert_eq(prlimit(pid, limits[i].what, NULL, &now), 0);
		cr_expect_leq(now.rlim_max, limits[i].most, "%s", limits[i].name);
		cr_expect_eq(now.rlim_cur, now.rlim_max, "%s", limits[i].name);
	}
	(void)close(ends[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
}
