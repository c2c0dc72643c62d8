/* vectors.c - the golden vectors against the code, both ways.
 *
 *   vectors DIR           decode each file and compare; encode its sample and compare the bytes
 *   vectors --bless DIR   writes the files from the samples
 *
 * Blessing changes the protocol: review the difference as such.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/client.h"
#include "proto/frame.h"
#include "proto/guest.h"
#include "proto/helper.h"
#include "tests/lib/hex.h"
#include "tests/vectors/dump.h"
#include "tests/vectors/samples.h"

enum {
	PATH_MAX_BYTES = 512,
	VECTOR_MAX = 2 * FRAME_MAX,
};

static int failures;

static PRINTF_LIKE(2, 3) void fail(const char *file, const char *fmt, ...)
{
	va_list ap;

	failures++;
	(void)fprintf(stderr, "%s: ", file);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

static void path_of(const char *dir, const char *file, char out[PATH_MAX_BYTES])
{
	(void)snprintf(out, PATH_MAX_BYTES, "%s/%s.hex", dir, file);
}

/* ---- what the samples say ---- */

static int encode_sample(const struct sample *s, struct buf *frame)
{
	struct wire w = s->wire;
	struct buf body;
	int rc = 0;

	buf_init(&body, FRAME_MAX);
	if (s->body)
		rc = schema_encode(s->schema, s->body, &body);
	if (s->body)
		w.body = (struct wire_span){ buf_data(&body), buf_len(&body) };
	if (rc == 0)
		rc = wire_encode(&w, frame);
	buf_fini(&body);
	return rc;
}

static int encode_bad(const struct bad_sample *s, struct buf *frame)
{
	const uint32_t len = s->length < 0 ? (uint32_t)s->len : (uint32_t)s->length;
	const uint8_t head[FRAME_HEAD] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16),
					   (uint8_t)(len >> 8), (uint8_t)len };
	const int rc = buf_append(frame, head, sizeof(head));

	return rc < 0 ? rc : buf_append(frame, s->payload, s->len);
}

/* ---- bless ---- */

static int bless(const char *dir, const char *file, const struct buf *frame,
		 const struct bad_sample *bad)
{
	char path[PATH_MAX_BYTES];

	path_of(dir, file, path);
	CLEANUP_FILE FILE *f = fopen(path, "we");
	if (!f)
		return -errno;
	if (bad) {
		(void)fprintf(f, "# %s\n# error: %s\n", bad->why, bad->code);
		dump_bytes(f, buf_data(frame), buf_len(frame));
	} else {
		dump_frame(f, buf_data(frame), buf_len(frame));
	}
	return 0;
}

/* ---- check ---- */

static void check_body(const struct sample *s, const struct wire *w)
{
	struct err e = { 0 };
	void *const obj = calloc(1, s->schema->size);

	if (!obj || schema_decode(s->schema, w->body.data, w->body.len, obj, &e) < 0)
		fail(s->file, "%s", e.text);
	else if (s->body && !schema_equal(s->schema, s->body, obj))
		fail(s->file, "decodes to something else than its sample");
	if (obj)
		schema_fini(s->schema, obj);
	free(obj);
}

static void check_sample(const struct sample *s, const struct buf *file, const struct buf *ours)
{
	struct err e = { 0 };
	const uint8_t *payload;
	struct wire expected = s->wire;
	struct wire w;
	const int len = wire_next(buf_data(file), buf_len(file), FRAME_MAX, &payload, &e);

	if (len <= 0 || (size_t)len + FRAME_HEAD != buf_len(file)) {
		fail(s->file, "is not one frame: %s", e.text);
		return;
	}
	if (wire_decode(payload, (size_t)len, &w, &e) < 0) {
		fail(s->file, "%s", e.text);
		return;
	}
	expected.body = w.body; /* compared below */
	if (w.type != expected.type || w.failed != expected.failed ||
	    !schema_equal(&wire_schemas[w.type], &expected, &w))
		fail(s->file, "the envelope decodes to something else than its sample");
	if (s->schema)
		check_body(s, &w);
	if (buf_len(ours) != buf_len(file) ||
	    memcmp(buf_data(ours), buf_data(file), buf_len(file)) != 0)
		fail(s->file, "its sample encodes to other bytes");
}

/* The way of a frame from a client's socket to a method, up to the first refusal. */
static int receive(const struct buf *frame, struct err *e)
{
	const uint8_t *payload;
	enum client_method method;
	uint32_t version;
	struct wire w;
	const int len = wire_next(buf_data(frame), buf_len(frame), FRAME_MAX, &payload, e);
	int rc;

	if (len <= 0)
		return len;
	rc = wire_decode(payload, (size_t)len, &w, e);
	if (rc < 0)
		return rc;
	if (w.type == WIRE_HELLO)
		return wire_version_agree(&w, &version, e);
	if (w.type != WIRE_REQUEST)
		return 0;
	if (client_method_find(w.name, &method) < 0)
		return err_set(e, ERR_UNKNOWN_METHOD, "%s", w.name);
	const struct schema *const args = client_methods[method].args;
	void *const obj = malloc(args->size);
	if (!obj)
		return err_set(e, ERR_HOST_MEMORY, "args");
	rc = schema_decode(args, w.body.data, w.body.len, obj, e);
	schema_fini(args, obj);
	free(obj);
	return rc;
}

static void check_bad(const char *path, const struct bad_sample *s, const struct buf *file,
		      const struct buf *ours)
{
	char code[64];
	struct err e = { 0 };

	if (hex_comment(path, "error", code, sizeof(code)) < 0 || strcmp(code, s->code) != 0)
		fail(s->file, "must say: # error: %s", s->code);
	if (buf_len(ours) != buf_len(file) ||
	    memcmp(buf_data(ours), buf_data(file), buf_len(file)) != 0)
		fail(s->file, "differs from its sample");
	if (receive(file, &e) >= 0)
		fail(s->file, "is accepted");
	else if (strcmp(err_name(e.code), s->code) != 0)
		fail(s->file, "is refused with %s, not %s: %s", err_name(e.code), s->code, e.text);
}

static void one(const char *dir, bool blessing, const struct sample *good,
		const struct bad_sample *bad)
{
	const char *const name = good ? good->file : bad->file;
	char path[PATH_MAX_BYTES];
	struct buf file;
	struct buf ours;
	int rc;

	buf_init(&file, VECTOR_MAX);
	buf_init(&ours, VECTOR_MAX);
	path_of(dir, name, path);
	rc = good ? encode_sample(good, &ours) : encode_bad(bad, &ours);
	if (rc < 0)
		fail(name, "encode: %s", err_sys_text(rc));
	else if (blessing)
		rc = bless(dir, name, &ours, bad);
	else
		rc = hex_read(path, &file);
	if (rc < 0)
		fail(name, "%s", err_sys_text(rc));
	else if (!blessing && good)
		check_sample(good, &file, &ours);
	else if (!blessing)
		check_bad(path, bad, &file, &ours);
	buf_fini(&file);
	buf_fini(&ours);
}

/* ---- completeness ---- */

static bool has_sample(const char *file)
{
	for (size_t i = 0; i < nsamples; i++)
		if (strcmp(samples[i].file, file) == 0)
			return true;
	for (size_t i = 0; i < nbad_samples; i++)
		if (strcmp(bad_samples[i].file, file) == 0)
			return true;
	return false;
}

static void check_methods(const char *side, const struct client_method_row *rows, size_t n)
{
	char file[PATH_MAX_BYTES];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(file, sizeof(file), "%s/request-%s", side, rows[i].name);
		if (!has_sample(file))
			fail(file, "the method has no vector");
		(void)snprintf(file, sizeof(file), "%s/reply-%s", side, rows[i].name);
		if (!has_sample(file))
			fail(file, "the method's result has no vector");
	}
}

/* A file that no sample speaks for would be checked by nobody. */
static void check_orphans(const char *dir, const char *side)
{
	char path[PATH_MAX_BYTES];
	char file[PATH_MAX_BYTES];
	const struct dirent *entry;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, side);
	DIR *const d = opendir(path);
	if (!d) {
		fail(path, "%s", err_sys_text(errno));
		return;
	}
	while ((entry = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
		const char *const dot = strrchr(entry->d_name, '.');

		if (!dot || strcmp(dot, ".hex") != 0)
			continue;
		(void)snprintf(file, sizeof(file), "%s/%.*s", side, (int)(dot - entry->d_name),
			       entry->d_name);
		if (!has_sample(file))
			fail(file, "no sample has this name");
	}
	(void)closedir(d);
}

int main(int argc, char **argv)
{
	const bool blessing = argc == 3 && strcmp(argv[1], "--bless") == 0;
	const char *const dir = argv[argc - 1];

	if (argc != 2 && !blessing) {
		(void)fprintf(stderr, "usage: vectors [--bless] DIR\n");
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < nsamples; i++)
		one(dir, blessing, &samples[i], NULL);
	for (size_t i = 0; i < nbad_samples; i++)
		one(dir, blessing, NULL, &bad_samples[i]);
	check_methods("client", client_methods, METHOD_NMETHODS);
	check_methods("guest", guest_methods, GUEST_METHOD_NMETHODS);
	check_methods("helper", helper_methods, HELPER_NMETHODS);
	check_orphans(dir, "client");
	check_orphans(dir, "guest");
	check_orphans(dir, "helper");
	check_orphans(dir, "bad");
	(void)printf("%zu frames, %zu bad ones, %d failures\n", nsamples, nbad_samples, failures);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
