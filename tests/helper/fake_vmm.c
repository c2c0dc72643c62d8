/* fake_vmm.c - what a VMM may do in its jail, told by one: it does as it is told on its first
 * socket; or, where its words are --obey PATH, on one that it makes there.
 *
 *   try NAME      makes the system call and answers with its errno
 *   read PATH     the file's first bytes
 *   write PATH    appends "guest\n" to it
 *   list PATH     names in the directory
 *   bind PATH     makes a socket there and keeps it
 *   unlink PATH   removes it
 *   mode PATH     its mode and owner
 *   open PATH     opens it to read and write, and closes it
 *   poke PATH     writes "guest" over its first bytes
 *   hold PATH     opens it likewise and keeps it open
 *   tap NAME      attaches to the interface and keeps it
 *   call PATH     connects to the socket there, says "guest" and hangs up
 *   print WORD    to its standard output
 *   hear NOTHING  what there is to be read from its standard input
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	CONTROL_FD = 3,
};

static long address(const void *p)
{
	return (long)(uintptr_t)p;
}

static int attempt(const char *name)
{
	static char *const none[] = { NULL };
	const long kernel = address("/vm/kernel");
	const struct {
		const char *name;
		long number;
		long args[5];
	} calls[] = {
		{ "inet", SYS_socket, { AF_INET, SOCK_STREAM } },
		{ "netlink", SYS_socket, { AF_NETLINK, SOCK_RAW } },
		{ "unix", SYS_socket, { AF_UNIX, SOCK_STREAM } },
		{ "mount", SYS_mount, { address("none"), address("/vm"), address("tmpfs") } },
		{ "unshare", SYS_unshare, { CLONE_NEWUSER } },
		{ "clone", SYS_clone, { CLONE_NEWUSER } },
		{ "clone3", SYS_clone3, { 0 } },
		{ "setns", SYS_setns, { -1 } },
		{ "chroot", SYS_chroot, { address("/vm") } },
		{ "execve", SYS_execve, { kernel, address(none), address(none) } },
		{ "execveat", SYS_execveat, { AT_FDCWD, kernel, address(none), address(none) } },
		{ "ptrace", SYS_ptrace, { PTRACE_TRACEME } },
		{ "io_uring", SYS_io_uring_setup, { 1 } },
		{ "bpf", SYS_bpf, { 0 } },
		{ "keyctl", SYS_keyctl, { 0 } },
		{ "mkdir", SYS_mkdir, { address("/vm/run/deep"), 0700 } },
		{ "mknod", SYS_mknod, { address("/vm/run/disk"), S_IFBLK | 0600, 8 << 8 } },
		{ "symlink", SYS_symlink, { address("/etc/passwd"), address("/vm/run/link") } },
		{ "create", SYS_open, { address("/vm/new"), O_WRONLY | O_CREAT, 0600 } },
		{ "create /", SYS_open, { address("/new"), O_WRONLY | O_CREAT, 0600 } },
		{ "setuid", SYS_setuid, { 0 } },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *const a = calls[i].args;

		if (strcmp(calls[i].name, name) != 0)
			continue;
		errno = 0;
		(void)syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4]);
		return errno;
	}
	return EINVAL;
}

static char answer[4096]; /* goes in one piece */
static size_t answered;

static __attribute__((format(printf, 1, 2))) void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(answer + answered, sizeof(answer) - answered, fmt, ap);
	va_end(ap);
	if (n > 0 && answered + (size_t)n < sizeof(answer))
		answered += (size_t)n;
}

static void show(const char *path)
{
	char buf[256];
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (n < 0)
		say("errno %d\n", errno);
	else
		say("%.*s\n", (int)n, buf);
	close(fd);
}

static void append(const char *path)
{
	const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : write(fd, "guest\n", strlen("guest\n"));

	say("errno %d\n", n < 0 ? errno : 0);
	close(fd);
}

static void list(const char *path)
{
	DIR *const d = opendir(path);
	const struct dirent *e;

	if (!d) {
		say("errno %d\n", errno);
		return;
	}
	while ((e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe) */
		if (e->d_name[0] != '.')
			say("%s ", e->d_name);
	say("\n");
	(void)closedir(d);
}

static void make_socket(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	const int rc = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	say("errno %d\n", rc < 0 || listen(fd, 4) < 0 ? errno : 0);
}

static void mode(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		say("errno %d\n", errno);
	else
		say("%o %u\n", st.st_mode, st.st_uid);
}

static void remove_file(const char *path)
{
	say("errno %d\n", unlink(path) < 0 ? errno : 0);
}

static void open_once(const char *path)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);

	say("errno %d\n", fd < 0 ? errno : 0);
	close(fd);
}

static void poke(const char *path)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : pwrite(fd, "guest", strlen("guest"), 0);

	say("errno %d\n", n < 0 || fsync(fd) < 0 ? errno : 0);
	close(fd);
}

static void hold(const char *path)
{
	say("errno %d\n", open(path, O_RDWR | O_CLOEXEC) < 0 ? errno : 0);
}

static void attach(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	say("errno %d\n", fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 ? errno : 0);
}

static void call(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	const int rc = connect(fd, (const struct sockaddr *)&a, sizeof(a));
	say("errno %d\n", rc < 0 || write(fd, "guest", strlen("guest")) < 0 ? errno : 0);
	close(fd);
}

static void print(const char *word)
{
	(void)printf("%s\n", word);
	say("errno %d\n", fflush(stdout) == 0 ? 0 : errno);
}

static void hear(const char *nothing)
{
	char buf[256];
	const ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	(void)nothing;
	if (n < 0)
		say("errno %d\n", errno);
	else
		say("%.*s\n", (int)n, buf);
}

static void end(const char *status)
{
	exit((int)strtol(status, NULL, 10)); /* NOLINT(concurrency-mt-unsafe) */
}

static void obey(const char *line)
{
	static const struct {
		const char *word;
		void (*run)(const char *path);
	} words[] = {
		{ "read ", show },          { "write ", append }, { "list ", list },
		{ "bind ", make_socket },   { "mode ", mode },    { "open ", open_once },
		{ "poke ", poke },          { "hold ", hold },    { "tap ", attach },
		{ "unlink ", remove_file }, { "call ", call },    { "print ", print },
		{ "hear ", hear },          { "exit ", end },
	};

	if (strncmp(line, "try ", 4) == 0) {
		say("errno %d\n", attempt(line + 4));
		return;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(line, words[i].word, strlen(words[i].word)) == 0) {
			words[i].run(line + strlen(words[i].word));
			return;
		}
	say("what?\n");
}

static int control_of(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = CONTROL_FD;

	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "--obey") != 0)
			continue;
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", argv[i + 1]);
		if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0)
			exit(EXIT_FAILURE); /* NOLINT(concurrency-mt-unsafe) */
	}
	return fd;
}

int main(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		(void)printf("word %s\n", argv[i]);
	(void)fflush(stdout);
	const int control = control_of(argc, argv);
	for (;;) {
		const int fd = accept(control, NULL, NULL);
		char line[256];
		ssize_t n;

		if (fd < 0) {
			(void)pause(); /* started without a socket */
			continue;
		}
		while ((n = read(fd, line, sizeof(line) - 1)) > 0) {
			line[n] = '\0';
			line[strcspn(line, "\n")] = '\0';
			answered = 0;
			obey(line);
			if (write(fd, answer, answered) < 0)
				break;
		}
		close(fd);
	}
}
