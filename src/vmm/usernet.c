#include "vmm/usernet.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define LOOPBACK "127.0.0.1"

enum {
	NUMBER_BYTES = 12,
	PUBLISH_BYTES = sizeof(LOOPBACK "/65535:65535"),
};

void usernet_word(vm_id id, const char *home, char out[VMM_WORD_BYTES])
{
	vmm_word(USERNET_PROCESS_PREFIX, id, home, out);
}

/* NULL is no word. */
static int add_all(struct strv *argv, const char *const *words, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = words[i] ? strv_add(argv, words[i]) : 0;
	return rc;
}

static int add_ports(const struct usernet *n, const char *option, const char *address,
		     struct strv *argv)
{
	char text[PUBLISH_BYTES];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < n->npublish; i++) {
		(void)snprintf(text, sizeof(text), "%s%u:%u", address, n->publish[i].host,
			       n->publish[i].guest);
		rc = strv_add(argv, option);
		if (rc == 0)
			rc = strv_add(argv, text);
	}
	return rc;
}

static int banger_argv(const struct usernet *n, const char *word, const char *fd, struct strv *argv)
{
	const char *const words[] = {
		n->binary, "--name",
		word,      n->listens ? "--listen" : "--fd",
		fd,        n->host_loopback ? "--host-loopback" : NULL,
	};
	const int rc = add_all(argv, words, ARRAY_LEN(words));

	return rc < 0 ? rc : add_ports(n, "--publish", "", argv);
}

static int passt_argv(const struct usernet *n, const char *word, const char *fd, struct strv *argv)
{
	/* clang-format off */
	const char *const words[] = {
		n->binary, "-f", "-q", "-4", "-i", "lo",
		"-a", USERNET_GUEST, "-n", USERNET_PREFIX, "-g", USERNET_GATEWAY, "-M", USERNET_MAC,
		/* Not with -D, which keeps it from looking for the host's name servers. */
		"--dns-forward", USERNET_DNS,
		"-u", "none",
		n->host_loopback ? NULL : "--no-map-gw",
		/* A domain to search, which nobody is told: by it this process is known. */
		"-S", word,
		"-F", fd,
	};
	/* clang-format on */
	const int rc = add_all(argv, words, ARRAY_LEN(words));

	ASSERT(!n->listens);
	return rc < 0 ? rc : add_ports(n, "-t", LOOPBACK "/", argv);
}

typedef int argv_fn(const struct usernet *n, const char *word, const char *fd, struct strv *argv);

static argv_fn *const argvs[] = {
	[USERNET_BANGER] = banger_argv,
	[USERNET_PASST] = passt_argv,
};
static_assert(ARRAY_LEN(argvs) == USERNET_NPROGRAMS, "each program has its command line");

int usernet_argv(const struct usernet *n, struct strv *argv)
{
	char word[VMM_WORD_BYTES];
	char fd[NUMBER_BYTES];

	usernet_word(n->id, n->home, word);
	(void)snprintf(fd, sizeof(fd), "%d", n->fd);
	return argvs[n->program](n, word, fd, argv);
}

enum err_code usernet_explain(const char *last_words)
{
	return strstr(last_words, "Failed to bind") ? ERR_PORT_BUSY : ERR_NETWORK;
}
