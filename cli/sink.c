#include "sink.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void sink_init(struct sink *s, int fd, size_t max)
{
	struct stat st;

	*s = (struct sink){ .fd = fd };
	s->file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	buf_init(&s->q, max);
}

void sink_fini(struct sink *s)
{
	buf_fini(&s->q);
}

int sink_add(struct sink *s, const void *data, size_t len)
{
	return s->gone ? 0 : buf_append(&s->q, data, len);
}

int sink_write(struct sink *s)
{
	size_t len = buf_len(&s->q);

	if (!s->file && len > PIPE_BUF)
		len = PIPE_BUF;
	const ssize_t n = write(s->fd, buf_data(&s->q), len);
	if (n >= 0) {
		buf_consume(&s->q, (size_t)n);
		return 0;
	}
	if (errno == EINTR || errno == EAGAIN)
		return 0;
	const int rc = -errno;
	s->gone = true;
	buf_clear(&s->q);
	return rc;
}

static int line_put(struct lines *l, const char *name, struct sink *to)
{
	int rc = sink_add(to, name, strlen(name));

	if (rc == 0)
		rc = sink_add(to, " | ", 3);
	if (rc == 0)
		rc = sink_add(to, l->text, l->len);
	if (rc == 0)
		rc = sink_add(to, "\n", 1);
	l->len = 0;
	return rc;
}

int lines_add(struct lines *l, const char *name, const uint8_t *data, size_t len, struct sink *to)
{
	for (size_t i = 0; i < len; i++) {
		int rc = 0;

		if (data[i] == '\n') {
			rc = line_put(l, name, to);
		} else {
			l->text[l->len++] = (char)data[i];
			if (l->len == sizeof(l->text))
				rc = line_put(l, name, to);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

int lines_end(struct lines *l, const char *name, struct sink *to)
{
	return l->len > 0 ? line_put(l, name, to) : 0;
}
