#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

enum {
	HELD_BYTES = 32 * 1024, /* of lines that wait for log_flush(); more are written early */
};

enum log_level log_max_level = LOG_LEVEL_INFO;

static log_sink *sink_fn;
static void *sink_arg;

static struct {
	char text[HELD_BYTES];
	size_t len;
	bool on;
} held;

struct line {
	char text[LOG_LINE_MAX];
	size_t len;
};

static void line_add(struct line *l, const char *text, size_t len)
{
	const size_t room = sizeof(l->text) - 1 - l->len;

	len = len < room ? len : room;
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

static void line_add_text(struct line *l, const char *text)
{
	line_add(l, text, strlen(text));
}

static PRINTF_LIKE(2, 3) void line_addf(struct line *l, const char *fmt, ...)
{
	char text[64];
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		line_add(l, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static bool is_plain_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-_.,:/@+%", c));
}

static void line_add_value(struct line *l, const char *s)
{
	size_t plain = 0;

	while (is_plain_char(s[plain]))
		plain++;
	if (plain > 0 && s[plain] == '\0') {
		line_add(l, s, plain);
		return;
	}
	line_add_text(l, "\"");
	for (; *s; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			line_addf(l, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			line_addf(l, "\\x%02x", c);
		else
			line_add(l, s, 1);
	}
	line_add_text(l, "\"");
}

static void line_add_op(struct line *l, const struct op_id *op)
{
	char id[OP_ID_CHARS + 1];

	op_id_text(op, id);
	line_add(l, id, OP_ID_CHARS);
}

static void line_write(enum log_level level, const char *text, size_t len)
{
	if (!held.on) {
		fprintf(stderr, "<%d>%s\n", (int)level, text);
		return;
	}
	if (held.len + len + sizeof("<0>\n") > sizeof(held.text))
		log_flush();
	held.text[held.len++] = '<';
	held.text[held.len++] = (char)('0' + (int)level);
	held.text[held.len++] = '>';
	memcpy(held.text + held.len, text, len);
	held.len += len;
	held.text[held.len++] = '\n';
}

void log_event(enum log_level level, const struct log_ctx *ctx, const struct op_id *op,
	       const char *ev, const struct log_kv *kv, size_t n)
{
	struct line l;

	l.len = 0;
	if (op && !op_id_is_zero(op)) {
		line_add_text(&l, "op=");
		line_add_op(&l, op);
		line_add_text(&l, " ");
	}
	line_add_text(&l, "actor=");
	line_add_text(&l, ctx->actor);
	line_add_text(&l, " ev=");
	line_add_text(&l, ev);
	for (size_t i = 0; i < n; i++) {
		line_add_text(&l, " ");
		line_add_text(&l, kv[i].key);
		line_add_text(&l, "=");
		switch (kv[i].kind) {
		case LOG_KV_INT:
			line_addf(&l, "%lld", (long long)kv[i].i);
			break;
		case LOG_KV_UINT:
			line_addf(&l, "%llu", (unsigned long long)kv[i].u);
			break;
		case LOG_KV_STR:
			line_add_value(&l, kv[i].s);
			break;
		case LOG_KV_OP:
			line_add_op(&l, kv[i].op);
			break;
		}
	}
	l.text[l.len] = '\0';
	if (sink_fn)
		sink_fn(sink_arg, level, l.text);
	else
		line_write(level, l.text, l.len);
}

void log_hold(bool on)
{
	log_flush();
	held.on = on;
	assert_last_words = on ? log_flush : NULL;
}

void log_flush(void)
{
	for (size_t done = 0; done < held.len;) {
		const ssize_t n = write(STDERR_FILENO, held.text + done, held.len - done);

		if (n < 0 && errno != EINTR)
			break; /* nobody reads the log: there is nobody to tell */
		done += n > 0 ? (size_t)n : 0;
	}
	held.len = 0;
}

void log_set_sink(log_sink *sink, void *arg)
{
	sink_fn = sink;
	sink_arg = arg;
}
