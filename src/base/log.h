/* log.h - one line per event on stderr, logfmt with a fixed head.
 *
 *   <6>op=01J9ZK... actor=vm/web-1 ev=step.done step=tap dur_us=812
 *
 * The level in angle brackets is syslog's, which journald understands.  `ev` is a constant token to
 * grep for.  Values are quoted when they hold anything but plain characters.  base/, io/, proto/,
 * store/, vmm/ and image/ return errors and do not log; actors log where an operation or a
 * supervised process changes state.  The sink can be replaced: tests assert the same lines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/macros.h"

enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

enum {
	LOG_LINE_MAX = 1024, /* bytes; a longer line is cut */
	LOG_ACTOR_MAX = 80,
};

/* Who speaks: embedded in an actor. */
struct log_ctx {
	char actor[LOG_ACTOR_MAX]; /* "vm/web-1" */
};

struct log_kv {
	const char *key;
	enum { LOG_KV_INT, LOG_KV_UINT, LOG_KV_STR, LOG_KV_OP } kind;
	union {
		int64_t i;
		uint64_t u;
		const char *s;
		const struct op_id *op;
	};
};

static inline struct log_kv log_kv_int(const char *key, int64_t v)
{
	return (struct log_kv){ .key = key, .kind = LOG_KV_INT, .i = v };
}

static inline struct log_kv log_kv_uint(const char *key, uint64_t v)
{
	return (struct log_kv){ .key = key, .kind = LOG_KV_UINT, .u = v };
}

static inline struct log_kv log_kv_str(const char *key, const char *v)
{
	return (struct log_kv){ .key = key, .kind = LOG_KV_STR, .s = v ? v : "" };
}

/* clang-format off */
#define K(key, v)                                                                                  \
	_Generic((v),                                                                              \
		char *: log_kv_str, const char *: log_kv_str,                                      \
		int: log_kv_int, long: log_kv_int, long long: log_kv_int,                          \
		unsigned: log_kv_uint, unsigned long: log_kv_uint,                                 \
		unsigned long long: log_kv_uint)(key, v)
/* clang-format on */

/* `op` may be NULL: the event belongs to no operation. */
void log_event(enum log_level level, const struct log_ctx *ctx, const struct op_id *op,
	       const char *ev, const struct log_kv *kv, size_t n);

#define LOG_AT(level, ctx, op, ev, ...)                                                            \
	do {                                                                                       \
		if ((level) <= log_max_level) {                                                    \
			const struct log_kv kv_[] = { __VA_ARGS__ };                               \
			log_event(level, ctx, op, ev, kv_, ARRAY_LEN(kv_));                        \
		}                                                                                  \
	} while (0)

#define LOG_ERR(ctx, op, ev, ...)    LOG_AT(LOG_LEVEL_ERR, ctx, op, ev, __VA_ARGS__)
#define LOG_WARN(ctx, op, ev, ...)   LOG_AT(LOG_LEVEL_WARNING, ctx, op, ev, __VA_ARGS__)
#define LOG_NOTICE(ctx, op, ev, ...) LOG_AT(LOG_LEVEL_NOTICE, ctx, op, ev, __VA_ARGS__)
#define LOG_INFO(ctx, op, ev, ...)   LOG_AT(LOG_LEVEL_INFO, ctx, op, ev, __VA_ARGS__)
#define LOG_DEBUG(ctx, op, ev, ...)  LOG_AT(LOG_LEVEL_DEBUG, ctx, op, ev, __VA_ARGS__)

extern enum log_level log_max_level;

/* Held lines gather until log_flush(), which writes them by one write(2): for a loop that flushes
 * once a turn.  A failed assertion flushes too. */
void log_hold(bool on);
void log_flush(void);

/* Where finished lines go (without newline); NULL restores stderr. */
typedef void log_sink(void *arg, enum log_level level, const char *line);
void log_set_sink(log_sink *sink, void *arg);
