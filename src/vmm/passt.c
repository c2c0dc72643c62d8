#include "vmm/passt.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const char *const always[] = {
	"-f", "-q", "-4", "-i", "lo",
	"-a", PASST_GUEST, "-n", PASST_PREFIX, "-g", PASST_GATEWAY, "-M", PASST_MAC,
	/* Not with -D, which keeps it from looking for the host's name servers. */
	"--dns-forward", PASST_DNS,
	"-u", "none",
};
/* clang-format on */

void passt_word(vm_id id, const char *home, char out[PASST_WORD_BYTES])
{
	char process[VMM_WORD_BYTES];

	vmm_process_word(id, home, process);
	(void)snprintf(out, PASST_WORD_BYTES, PASST_WORD_PREFIX "%s",
		       process + strlen(VMM_PROCESS_PREFIX));
}

int passt_argv(const struct passt *p, struct strv *argv)
{
	char text[sizeof("127.0.0.1/65535:65535")];
	char name[PASST_WORD_BYTES];
	int rc = strv_add(argv, p->binary);

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(always); i++)
		rc = strv_add(argv, always[i]);
	if (rc == 0 && !p->host_loopback)
		rc = strv_add(argv, "--no-map-gw");
	/* A domain to search, which nobody is told: by it this process is known. */
	passt_word(p->id, p->home, name);
	if (rc == 0)
		rc = strv_add(argv, "-S");
	if (rc == 0)
		rc = strv_add(argv, name);
	if (rc == 0)
		rc = strv_add(argv, "-F");
	(void)snprintf(text, sizeof(text), "%d", p->fd);
	if (rc == 0)
		rc = strv_add(argv, text);
	for (uint32_t i = 0; rc == 0 && i < p->npublish; i++) {
		(void)snprintf(text, sizeof(text), "127.0.0.1/%u:%u", p->publish[i].host,
			       p->publish[i].guest);
		rc = strv_add(argv, "-t");
		if (rc == 0)
			rc = strv_add(argv, text);
	}
	return rc;
}

enum err_code passt_explain(const char *last_words)
{
	return strstr(last_words, "Failed to bind") ? ERR_PORT_BUSY : ERR_NETWORK;
}
