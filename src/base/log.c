#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum log_level log_max_level = LOG_LEVEL_INFO;

static log_sink *sink_fn;
static void *sink_arg;

struct line {
	char text[LOG_LINE_MAX];
	size_t len;
};

static PRINTF_LIKE(2, 3) void line_add(struct line *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len += (size_t)n;
	if (l->len >= sizeof(l->text))
		l->len = sizeof(l->text) - 1;
}

static bool is_plain(const char *s)
{
	return *s != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789-_.,:/@+%") == strlen(s);
}

static void line_add_value(struct line *l, const char *s)
{
	if (is_plain(s)) {
		line_add(l, "%s", s);
		return;
	}
	line_add(l, "\"");
	for (; *s; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			line_add(l, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			line_add(l, "\\x%02x", c);
		else
			line_add(l, "%c", c);
	}
	line_add(l, "\"");
}

void log_event(enum log_level level, const struct log_ctx *ctx, const struct op_id *op,
	       const char *ev, const struct log_kv *kv, size_t n)
{
	struct line l = { .len = 0 };
	char id[OP_ID_CHARS + 1];

	if (op && !op_id_is_zero(op)) {
		op_id_text(op, id);
		line_add(&l, "op=%s ", id);
	}
	line_add(&l, "actor=%s ev=%s", ctx->actor, ev);
	for (size_t i = 0; i < n; i++) {
		line_add(&l, " %s=", kv[i].key);
		switch (kv[i].kind) {
		case LOG_KV_INT:
			line_add(&l, "%lld", (long long)kv[i].i);
			break;
		case LOG_KV_UINT:
			line_add(&l, "%llu", (unsigned long long)kv[i].u);
			break;
		case LOG_KV_STR:
			line_add_value(&l, kv[i].s);
			break;
		case LOG_KV_OP:
			op_id_text(kv[i].op, id);
			line_add(&l, "%s", id);
			break;
		}
	}
	if (sink_fn)
		sink_fn(sink_arg, level, l.text);
	else
		fprintf(stderr, "<%d>%s\n", (int)level, l.text);
}

void log_set_sink(log_sink *sink, void *arg)
{
	sink_fn = sink;
	sink_arg = arg;
}
