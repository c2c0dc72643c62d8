#include "bench/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/paths.h"
#include "base/text.h"
#include "proto/frame.h"

enum {
	OUT_MAX = 8 << 20, /* bytes of requests that may wait for conn_flush() */
	IN_MAX = 2 * (FRAME_HEAD + FRAME_MAX),
	READ_BYTES = 64 * 1024,
};

/* ---- the daemon ---- */

/* $BANGER_CLI, else banger in the build directory or prefix that we are in, else PATH's. */
static void find_cli(char *out, size_t size)
{
	static const char *const places[] = { "../cli/banger", "../../bin/banger" };
	const char *said = getenv("BANGER_CLI");
	static char self[PATH_MAX]; /* too big for the stack */
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0 && !said) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < ARRAY_LEN(places); i++) {
			if ((size_t)snprintf(out, size, "%s/%s", self, places[i]) < size &&
			    access(out, X_OK) == 0)
				return;
		}
	}
	(void)snprintf(out, size, "%s", said ? said : "banger");
}

int conn_start_daemon(struct err *e)
{
	static char cli[PATH_MAX];
	char info[] = "info";
	char *argv[] = { cli, info, NULL };
	posix_spawn_file_actions_t files;
	pid_t pid;
	int status;

	find_cli(cli, sizeof(cli));
	posix_spawn_file_actions_init(&files);
	int rc = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);

	if (rc == 0)
		rc = posix_spawnp(&pid, cli, &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0)
		return err_num(e, ERR_DAEMON_DOWN, rc, "run %s", cli);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(e, ERR_DAEMON_DOWN, "wait for %s", cli);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, ERR_DAEMON_DOWN, "%s info did not succeed", cli);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	TEXT_SET(addr.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return take_fd(&fd);
}

/* ---- frames ---- */

static int queue(struct conn *c, const struct wire *w, struct err *e)
{
	const int rc = wire_encode(w, &c->out);

	return rc < 0 ? err_num(e, ERR_INTERNAL, rc, "encode a frame") : 0;
}

int conn_flush(struct conn *c, struct err *e)
{
	while (buf_len(&c->out) > 0) {
		const ssize_t n = send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_NOSIGNAL);

		if (n >= 0)
			buf_consume(&c->out, (size_t)n);
		else if (errno != EINTR)
			return err_sys(e, ERR_DAEMON_DOWN, "write to the daemon");
	}
	return 0;
}

int conn_fill(struct conn *c, struct err *e)
{
	uint8_t *at;
	ssize_t n;

	buf_consume(&c->in, c->taken);
	c->taken = 0;

	const int rc = buf_reserve(&c->in, READ_BYTES, &at);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "input buffer");
	do
		n = read(c->fd, at, READ_BYTES);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, ERR_DAEMON_DOWN, "read from the daemon");
	if (n == 0)
		return err_set(e, ERR_DAEMON_DOWN, "the daemon hung up");
	buf_commit(&c->in, (size_t)n);
	return 0;
}

/* As conn_take(), for frames of any type. */
static int take_frame(struct conn *c, struct wire *ret_wire, struct err *e)
{
	const uint8_t *payload;

	buf_consume(&c->in, c->taken);
	c->taken = 0;
	if (buf_len(&c->in) == 0)
		return 0;

	const int n = wire_next(buf_data(&c->in), buf_len(&c->in), FRAME_MAX, &payload, e);

	if (n <= 0)
		return n;
	c->taken = FRAME_HEAD + (size_t)n;

	const int rc = wire_decode(payload, (size_t)n, ret_wire, e);

	return rc < 0 ? rc : 1;
}

int conn_take(struct conn *c, struct wire *ret_reply, struct err *e)
{
	int rc;

	do
		rc = take_frame(c, ret_reply, e);
	while (rc == 1 && ret_reply->type != WIRE_REPLY);
	if (rc == 1 && ret_reply->id == 0) { /* about the connection itself */
		wire_error_get(ret_reply, e);
		return err_errno(e);
	}
	return rc;
}

int conn_next(struct conn *c, struct wire *ret_reply, struct err *e)
{
	for (;;) {
		int rc = conn_take(c, ret_reply, e);

		if (rc == 0)
			rc = conn_fill(c, e);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
}

static int new_op_id(struct op_id *ret_id)
{
	struct timespec t;
	uint8_t random[10];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -errno;
	clock_gettime(CLOCK_REALTIME, &t);
	*ret_id = op_id_make((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000, random);
	return 0;
}

int conn_request(struct conn *c, uint32_t id, enum client_method method, const void *args,
		 struct err *e)
{
	const struct client_method_row *row = &client_methods[method];
	struct wire w = { .type = WIRE_REQUEST, .id = id };
	struct buf body;

	buf_init(&body, FRAME_MAX);
	TEXT_SET(w.name, row->name);
	int rc = new_op_id(&w.op_id);

	if (rc == 0)
		rc = schema_encode(row->args, args, &body);
	if (rc < 0)
		err_num(e, ERR_BAD_REQUEST, rc, "encode %s", row->name);
	if (rc == 0) {
		w.body = (struct wire_span){ .data = buf_data(&body), .len = buf_len(&body) };
		rc = queue(c, &w, e);
	}
	buf_fini(&body);
	return rc;
}

int conn_call(struct conn *c, enum client_method method, const void *args, void *result,
	      struct err *e)
{
	struct wire w = { 0 };
	int rc = conn_request(c, 1, method, args, e);

	if (rc == 0)
		rc = conn_flush(c, e);
	if (rc == 0)
		rc = conn_next(c, &w, e);
	if (rc != 0)
		return rc;
	if (w.failed) {
		wire_error_get(&w, e);
		err_ctx(e, "%s", client_methods[method].name);
		return err_errno(e);
	}
	if (!result)
		return 0;
	return schema_decode(client_methods[method].result, w.body.data, w.body.len, result, e);
}

/* ---- open and close ---- */

static int hello(struct conn *c, struct err *e)
{
	struct wire ours = { .type = WIRE_HELLO,
			     .name = "banger-bench/" BANGER_VERSION,
			     .version = WIRE_VERSION,
			     .version_min = WIRE_VERSION_MIN };
	struct wire theirs = { 0 };
	uint32_t version;
	int rc = queue(c, &ours, e);

	if (rc == 0)
		rc = conn_flush(c, e);
	while (rc == 0) {
		rc = take_frame(c, &theirs, e);
		if (rc == 0)
			rc = conn_fill(c, e);
	}
	if (rc < 0)
		return rc;
	if (theirs.type == WIRE_REPLY && theirs.failed) {
		wire_error_get(&theirs, e);
		return err_errno(e);
	}
	if (theirs.type != WIRE_HELLO)
		return err_set(e, ERR_BAD_FRAME, "the daemon's first frame is no hello");
	return wire_version_agree(&theirs, &version, e);
}

int conn_open(struct conn *c, struct err *e)
{
	struct paths paths;
	int rc = paths_find(false, &paths, e);

	if (rc < 0)
		return rc;
	*c = (struct conn){ .fd = connect_to(paths.socket) };
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_MAX);
	if (c->fd == -ENOENT || c->fd == -ECONNREFUSED) {
		rc = conn_start_daemon(e);
		if (rc < 0)
			return rc;
		c->fd = connect_to(paths.socket);
	}
	if (c->fd < 0)
		return err_num(e, ERR_DAEMON_DOWN, c->fd, "connect to %s", paths.socket);
	rc = hello(c, e);
	if (rc < 0)
		conn_close(c);
	return rc < 0 ? rc : 0;
}

void conn_close(struct conn *c)
{
	close_fd(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	c->taken = 0;
}
