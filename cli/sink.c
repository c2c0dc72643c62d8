#include "sink.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/client.h"
#include "proto/json.h"

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

struct line_event {
	char vm[VM_NAME_MAX + 1];
	char event[8];
	char text[LINES_MAX + 1];
};

static const struct field line_event_fields[] = {
	FIELD(struct line_event, vm, FIELD_STR, true, 0, 0, "its name"),
	FIELD(struct line_event, event, FIELD_STR, true, 0, 0, "stdout or stderr"),
	FIELD(struct line_event, text, FIELD_TEXT, true, 0, 0, "the line, without its end"),
};
static const struct schema line_event_schema = SCHEMA("line_event", struct line_event,
						      line_event_fields);

/* Of bytes that are no text a string cannot be made: each becomes '?'. */
static int json_put(const struct lines *l, struct sink *to)
{
	struct line_event ev = { 0 };

	(void)snprintf(ev.vm, sizeof(ev.vm), "%s", l->name);
	(void)snprintf(ev.event, sizeof(ev.event), "%s", l->stream);
	for (size_t i = 0; i < l->len; i++)
		ev.text[i] = l->text[i] ? l->text[i] : '?';
	return to->gone ? 0 : schema_json(&line_event_schema, &ev, &to->q, false);
}

static int line_put(struct lines *l, struct sink *to)
{
	int rc = 0;

	if (l->form == LINES_NAMED)
		rc = sink_add(to, l->name, strlen(l->name));
	if (rc == 0 && l->form == LINES_NAMED)
		rc = sink_add(to, " | ", 3);
	if (rc == 0)
		rc = l->form == LINES_JSON ? json_put(l, to) : sink_add(to, l->text, l->len);
	if (rc == 0)
		rc = sink_add(to, "\n", 1);
	l->len = 0;
	return rc;
}

int lines_add(struct lines *l, const uint8_t *data, size_t len, struct sink *to)
{
	for (size_t i = 0; i < len; i++) {
		int rc = 0;

		if (data[i] == '\n') {
			rc = line_put(l, to);
		} else {
			l->text[l->len++] = (char)data[i];
			if (l->len == sizeof(l->text))
				rc = line_put(l, to);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

int lines_end(struct lines *l, struct sink *to)
{
	return l->len > 0 ? line_put(l, to) : 0;
}
