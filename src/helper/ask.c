#include "helper/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"
#include "helper/worker.h"
#include "proto/frame.h"

enum {
	CHUNK = 16 * 1024, /* bytes read at once */
};

static int send_frame(struct ask *a, const struct wire *w, struct err *e)
{
	struct buf out;
	size_t at = 0;
	int rc;

	buf_init(&out, FRAME_HEAD + HELPER_FRAME_MAX);
	rc = wire_encode(w, &out);
	if (rc < 0)
		(void)err_num(e, ERR_HOST_MEMORY, rc, "request");
	while (rc == 0 && at < buf_len(&out)) {
		const ssize_t n = send(a->fd, buf_data(&out) + at, buf_len(&out) - at,
				       MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			rc = err_sys(e, ERR_HELPER_DOWN, "send");
		at += n > 0 ? (size_t)n : 0;
	}
	buf_fini(&out);
	return rc;
}

static int read_more(struct ask *a, struct err *e)
{
	uint8_t *at;
	uint32_t nfds = 0;
	int rc = buf_reserve(&a->in, CHUNK, &at);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "reply");
	const struct iovec iov = { at, CHUNK };
	const ssize_t n = link_receive(a->fd, &iov, 1, a->fds + a->nfds, HELPER_FDS_MAX - a->nfds,
				       &nfds);
	a->nfds += nfds;
	if (n < 0)
		return err_num(e, ERR_HELPER_DOWN, (int)n, "the helper closed the connection");
	buf_commit(&a->in, (size_t)n);
	return 0;
}

/* The next frame; *w borrows from a->in, of which *ret_len bytes are to be consumed when done. */
static int receive_frame(struct ask *a, struct wire *w, size_t *ret_len, struct err *e)
{
	for (;;) {
		const uint8_t *payload;
		int rc = wire_next(buf_len(&a->in) ? buf_data(&a->in) : NULL, buf_len(&a->in),
				   HELPER_FRAME_MAX, &payload, e);

		if (rc < 0)
			return rc;
		if (rc > 0) {
			*ret_len = FRAME_HEAD + (size_t)rc;
			return wire_decode(payload, (size_t)rc, w, e);
		}
		rc = read_more(a, e);
		if (rc < 0)
			return rc;
	}
}

/* The words of a reply that is an error. */
static int refused(const struct wire *w, struct err *e)
{
	struct err told;

	wire_error_get(w, &told);
	if (e)
		*e = told;
	return err_errno(&told);
}

static int greet(struct ask *a, struct err *e)
{
	struct wire w = { .type = WIRE_HELLO,
			  .name = "banger-helperctl " BANGER_VERSION,
			  .version = WIRE_VERSION,
			  .version_min = WIRE_VERSION_MIN,
			  .frame_max = HELPER_FRAME_MAX };
	uint32_t version;
	size_t len = 0;
	int rc;

	/* Who is turned away cannot send, but has been told why, and that is to be read. */
	IGNORE(send_frame(a, &w, NULL) < 0);
	rc = receive_frame(a, &w, &len, e);
	if (rc == 0 && w.type == WIRE_REPLY && w.failed)
		return refused(&w, e);
	if (rc == 0 && w.type != WIRE_HELLO)
		return err_set(e, ERR_BAD_FRAME, "the first frame is no hello");
	if (rc == 0)
		rc = wire_version_agree(&w, &version, e);
	buf_consume(&a->in, len);
	return rc;
}

int ask_open(struct ask *a, const char *path, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int rc;

	*a = (struct ask){ .fd = -EBADF };
	buf_init(&a->in, (size_t)2 * (FRAME_HEAD + HELPER_FRAME_MAX));
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(e, ERR_HELPER_DOWN, "%s: is too long", path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (a->fd < 0 || connect(a->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		rc = err_sys(e, ERR_HELPER_DOWN, "%s", path);
	else
		rc = greet(a, e);
	if (rc < 0)
		ask_close(a);
	return rc;
}

static void close_fds(struct ask *a)
{
	for (uint32_t i = 0; i < a->nfds; i++)
		close_fd(&a->fds[i]);
	a->nfds = 0;
}

void ask_close(struct ask *a)
{
	close_fd(&a->fd);
	close_fds(a);
	buf_fini(&a->in);
}

static struct op_id op_id_new(void)
{
	uint8_t random[10] = { 0 };
	struct timespec now = { .tv_sec = 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now);
	IGNORE(getrandom(random, sizeof(random), 0));
	return op_id_make((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, random);
}

int ask_helper(struct ask *a, enum helper_method method, const void *args, void *result,
	       struct err *e)
{
	const struct client_method_row *const row = &helper_methods[method];
	struct wire w = { .type = WIRE_REQUEST, .id = ++a->last_id, .op_id = op_id_new() };
	struct buf body;
	size_t len = 0;
	int rc;

	close_fds(a);
	buf_init(&body, HELPER_FRAME_MAX);
	rc = schema_encode(row->args, args, &body);
	if (rc < 0)
		(void)err_num(e, ERR_BAD_REQUEST, rc, "arguments");
	(void)snprintf(w.name, sizeof(w.name), "%s", row->name);
	w.body = (struct wire_span){ body.mem, buf_len(&body) };
	if (rc == 0)
		rc = send_frame(a, &w, e);
	buf_fini(&body);
	if (rc == 0)
		rc = receive_frame(a, &w, &len, e);
	if (rc < 0)
		return rc;
	if (w.type != WIRE_REPLY)
		rc = err_set(e, ERR_BAD_FRAME, "the answer is no reply");
	else if (w.failed)
		rc = refused(&w, e);
	else
		rc = schema_decode(row->result, w.body.data, w.body.len, result, e);
	buf_consume(&a->in, len);
	return rc;
}
