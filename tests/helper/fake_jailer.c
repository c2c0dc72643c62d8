/* fake_jailer.c - stands for Firecracker's jailer, where there is none: takes the same words and
 * does the same to its program, in the same order.  Static, as the real one.
 *
 *   jailer --id ID --exec-file FILE --uid N --gid N --chroot-base-dir DIR -- WORD...
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	WORDS_MAX = 300,
	COPY_MAX = 1 << 30,
};

static void must(long rc, const char *what)
{
	if (rc >= 0)
		return;
	perror(what);
	exit(EXIT_FAILURE); /* NOLINT(concurrency-mt-unsafe) */
}

static const char *word(char **argv, const char *name)
{
	for (char **at = argv + 1; *at && strcmp(*at, "--") != 0; at++)
		if (strcmp(*at, name) == 0)
			return at[1];
	must(-1, name);
	return NULL;
}

static unsigned number(char **argv, const char *name)
{
	return (unsigned)strtoul(word(argv, name), NULL, 10);
}

static void copy(const char *from, const char *to, unsigned uid, unsigned gid)
{
	const int in = open(from, O_RDONLY | O_CLOEXEC);
	const int out = open(to, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0755);
	struct stat st = { .st_nlink = 2 };

	must(in, from);
	must(out, to);
	must(fstat(out, &st), to);
	must(st.st_nlink > 1 ? -1 : 0, "a hard link");
	must(fchown(out, uid, gid), to);
	while (sendfile(out, in, NULL, COPY_MAX) > 0) {
	}
	close(in);
	close(out);
}

static void enter(const char *root)
{
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "slave");
	must(mount(root, root, NULL, MS_BIND | MS_REC, NULL), "bind");
	must(chdir(root), root);
	must(mkdir("old_root", 0600), "old_root");
	must(syscall(SYS_pivot_root, ".", "old_root"), "pivot_root");
	must(chdir("/"), "/");
	must(umount2("old_root", MNT_DETACH), "umount");
	must(rmdir("old_root"), "rmdir");
}

static void furnish(unsigned uid, unsigned gid)
{
	static const char *const folders[] = { "/", "/dev", "/dev/net", "/run" };
	static const struct {
		const char *path;
		unsigned major, minor;
	} nodes[] = { { "/dev/net/tun", 10, 200 },
		      { "/dev/kvm", 10, 232 },
		      { "/dev/urandom", 1, 9 } };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)mkdir(folders[i], 0700);
		must(chmod(folders[i], 0700), folders[i]);
		must(chown(folders[i], uid, gid), folders[i]);
	}
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		must(mknod(nodes[i].path, S_IFCHR | 0600, makedev(nodes[i].major, nodes[i].minor)),
		     nodes[i].path);
		must(chown(nodes[i].path, uid, gid), nodes[i].path);
	}
}

int main(int argc, char **argv)
{
	char name[256];
	char root[1024];
	char path[1536];
	const char *words[WORDS_MAX] = { path, "--id", word(argv, "--id") };
	const unsigned uid = number(argv, "--uid");
	const unsigned gid = number(argv, "--gid");
	int n = 3;
	int at = 1;

	must(close_range(3, ~0U, 0), "close_range");
	(void)snprintf(name, sizeof(name), "%s", word(argv, "--exec-file"));
	const char *const base = strrchr(name, '/') + 1;
	(void)snprintf(root, sizeof(root), "%s/%s/%s/root", word(argv, "--chroot-base-dir"), base,
		       word(argv, "--id"));
	(void)snprintf(path, sizeof(path), "%s/%s", root, base);
	while (at < argc && strcmp(argv[at], "--") != 0)
		at++;
	while (++at < argc && n < WORDS_MAX - 1)
		words[n++] = argv[at];
	copy(name, path, uid, gid);
	enter(root);
	furnish(uid, gid);
	(void)snprintf(path, sizeof(path), "/%s", base);
	must(setgroups(0, NULL), "setgroups");
	must(setresgid(gid, gid, gid), "setgid");
	must(setresuid(uid, uid, uid), "setuid");
	static char *const none[] = { NULL };
	must(execve(path, (char *const *)(uintptr_t)words, none), path);
}
