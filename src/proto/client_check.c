/* client_check.c - the checks of client.h that CLI and daemon share: names, and what a spec weighs.
 *
 * A message repeats the word it is about, so that it can stand alone.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client.h"

enum {
	WORD_SHOWN_MAX = 40, /* bytes of a wrong word that a message repeats */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-';
}

static bool is_object_char(char c)
{
	return is_label_char(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == ':';
}

int vm_name_check(const char *name, struct err *e)
{
	const size_t len = strlen(name);

	if (len == 0)
		return err_set(e, ERR_VM_NAME, "name: is empty");
	if (len > VM_NAME_MAX)
		return err_set(e, ERR_VM_NAME, "name \"%.*s...\": has %zu characters, at most %d",
			       WORD_SHOWN_MAX, name, len, VM_NAME_MAX);
	for (size_t i = 0; i < len; i++)
		if (!is_label_char(name[i]))
			return err_set(e, ERR_VM_NAME, "name \"%s\": '%c' at character %zu", name,
				       name[i], i + 1);
	if (name[0] == '-' || name[len - 1] == '-')
		return err_set(e, ERR_VM_NAME, "name \"%s\": %s with '-'", name,
			       name[0] == '-' ? "begins" : "ends");
	return 0;
}

int object_name_check(const char *what, const char *name, struct err *e)
{
	const size_t len = strlen(name);

	if (len == 0)
		return err_set(e, ERR_BAD_REQUEST, "%s name: is empty", what);
	if (len > OBJECT_NAME_MAX)
		return err_set(e, ERR_BAD_REQUEST,
			       "%s name \"%.*s...\": has %zu characters, at most %d", what,
			       WORD_SHOWN_MAX, name, len, OBJECT_NAME_MAX);
	for (size_t i = 0; i < len; i++)
		if (!is_object_char(name[i]))
			return err_set(e, ERR_BAD_REQUEST,
				       "%s name \"%s\": '%c' at character %zu; use letters, "
				       "digits and . _ : -",
				       what, name, name[i], i + 1);
	if (name[0] == '.' || name[0] == '-')
		return err_set(e, ERR_BAD_REQUEST, "%s name \"%s\": begins with '%c'", what, name,
			       name[0]);
	return 0;
}

static int pairs_check(const char *what, const struct strv *pairs, size_t max, struct err *e)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < pairs->n; i++)
		bytes += strlen(pairs->v[i]);
	if (bytes > max)
		return err_set(e, ERR_BAD_REQUEST, "%s: %zu bytes in all, at most %zu", what, bytes,
			       max);
	return 0;
}

int vm_labels_check(const struct strv *labels, struct err *e)
{
	if (labels->n > LABELS_MAX)
		return err_set(e, ERR_BAD_REQUEST, "labels: %u, at most %d", labels->n, LABELS_MAX);
	return pairs_check("labels", labels, LABELS_BYTES_MAX, e);
}

int vm_spec_check(const struct vm_spec *spec, struct err *e)
{
	const int rc = vm_labels_check(&spec->labels, e);

	return rc < 0 ? rc : pairs_check("env", &spec->env, ENV_BYTES_MAX, e);
}
