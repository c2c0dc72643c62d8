/* channel.c - sockets of a jail.
 *
 * A VMM inherits its sockets listening, with one connection queued: the daemon's, who gets the
 * other end.  So no byte is lost, and nothing in the jail can be put in a socket's place.  A VMM
 * that makes its own does so in run/, and what lies there is looked at before it is used.
 *
 * #syscalls socket:AF_UNIX socketpair:AF_UNIX bind listen connect fchdir umask unlinkat fchownat close
 * #syscalls fchmodat newfstatat
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/jail/jail.h"
#include "helper/root.h"

enum {
	BACKLOG = 8,
	SOCKET_UMASK = 0177, /* 0600 from its birth */
	RUN_UMASK = 0111,    /* run/ itself is open to the slot alone */
};

static const char *const names[JAIL_NSOCKETS] = {
	[JAIL_CONTROL] = "control.sock",
	[JAIL_AGENT] = "agent.sock",
	[JAIL_SERIAL] = "console.sock",
};

static int socket_new(const char *name, struct err *e)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? err_sys(e, ERR_HOST_FILES, "%s", name) : fd;
}

static struct sockaddr_un address_of(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	return a;
}

/* Addresses are relative to the jail: its path may be longer than an address may be. */
static int bind_here(int fd, int dir, const char *name, mode_t mask)
{
	const struct sockaddr_un a = address_of(name);

	if (fchdir(dir) < 0)
		return -1;
	const mode_t was = umask(mask);
	const int rc = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	(void)umask(was);
	return rc;
}

int channel_make(const struct jail *j, int dir, enum jail_socket s, int *ret_listener,
		 struct err *e)
{
	CLEANUP_FD int fd = socket_new(names[s], e);
	int rc;

	if (fd < 0)
		return fd;
	if (unlinkat(dir, names[s], 0) < 0 && errno != ENOENT)
		return err_sys(e, ERR_JAIL, "%s", names[s]);
	rc = jail_did(bind_here(fd, dir, names[s], SOCKET_UMASK), names[s], e);
	if (rc < 0)
		return rc;
	if (listen(fd, BACKLOG) < 0 ||
	    fchownat(dir, names[s], j->conf->owner, j->conf->owner_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, ERR_JAIL, "%s", names[s]);
	*ret_listener = take_fd(&fd);
	return 0;
}

int channel_connect(int dir, enum jail_socket s, int *ret_fd, struct err *e)
{
	const struct sockaddr_un a = address_of(names[s]);
	CLEANUP_FD int fd = socket_new(names[s], e);

	if (fd < 0)
		return fd;
	if (fchdir(dir) < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, ERR_JAIL, "connect %s", names[s]);
	*ret_fd = take_fd(&fd);
	return 0;
}

int channel_pair(int *ret_ours, int *ret_its, struct err *e)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, ERR_HOST_FILES, "socketpair");
	*ret_ours = ends[0];
	*ret_its = ends[1];
	return 0;
}

/* ---- a socket that the VMM connects to ---- */

/* Where the VMM looks for it, in a directory of its own.  It may put something else there, for
 * itself: who has asked for it holds the socket, not its name. */
int channel_listen(int dir, const char *name, int *ret_listener, struct err *e)
{
	CLEANUP_FD int run = root_open_beneath(dir, "run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	CLEANUP_FD int fd = socket_new(name, e);
	int rc;

	if (fd < 0)
		return fd;
	if (run < 0)
		return err_num(e, ERR_JAIL, run, "run");
	if (unlinkat(run, name, 0) < 0 && errno != ENOENT)
		return err_sys(e, ERR_JAIL, "listener: %s", name);
	rc = jail_did(bind_here(fd, run, name, RUN_UMASK), "listener", e);
	if (rc < 0)
		return rc;
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, ERR_JAIL, "listener: %s", name);
	*ret_listener = take_fd(&fd);
	return 0;
}

/* ---- a socket that the VMM has made ---- */

/* A descriptor of the very socket, which the slot itself has made; -ENOENT: not there yet. */
static int socket_open(const struct jail_env *env, const struct socket_target *t, int *ret_fd,
		       struct err *e)
{
	char path[VM_ID_CHARS + sizeof("/run/") + HELPER_WORD_MAX + 1];
	CLEANUP_FD int fd = -EBADF;
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/run/%s", t->jail.id, t->name);
	fd = root_open_beneath(env->jails, path, O_PATH | O_NOFOLLOW);
	if (fd == -ENOENT)
		return err_num(e, ERR_JAIL, fd, "socket: %s", t->name);
	if (fd < 0)
		return err_num(e, ERR_HELPER_REFUSED, fd, "socket: %s", t->name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_JAIL, "socket: %s", t->name);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_HELPER_REFUSED, "socket: %s is no socket", t->name);
	if (st.st_uid != t->jail.uid && st.st_uid != t->jail.conf->owner)
		return err_set(e, ERR_HELPER_REFUSED,
			       "socket: %s belongs to uid %u, neither to the slot nor to the owner",
			       t->name, st.st_uid);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Owner and mode by descriptor, and a connection to that very socket: what lies at the path by then
 * does not matter. */
int socket_act(struct op_call *c, struct err *e)
{
	const struct jail_env *const env = c->env;
	const struct socket_target *const t = &c->target.socket;
	const struct helper_conf *const conf = t->jail.conf;
	CLEANUP_FD int found = -EBADF;
	CLEANUP_FD int fd = -EBADF;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int rc = socket_open(env, t, &found, e);

	if (rc < 0)
		return rc;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), JAIL_PROC_DIR "/self/fd/%d", found);
	rc = jail_did(fchownat(found, "", conf->owner, conf->owner_gid, AT_EMPTY_PATH), "socket",
		      e);
	if (rc == 0)
		rc = jail_did(fchmodat(AT_FDCWD, a.sun_path, 0600, 0), "socket", e);
	if (rc < 0)
		return rc;
	fd = socket_new(t->name, e);
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, ERR_JAIL, "socket: connect %s", t->name);
	c->fds[c->nfds++] = take_fd(&fd);
	return 0;
}
