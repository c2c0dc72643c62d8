#include "parse.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

enum {
	PORT_MAX = 65535,
	SIGNAL_MAX = 64, /* signal(7): the last real-time signal of Linux */
};

int publish_parse(const char *what, const char *text, struct publish *ret_publish, struct err *e)
{
	uint64_t host = 0;
	uint64_t guest = 0;
	const char *at = text;

	if (!digits_take(&at, &host) || *at++ != ':' || !digits_take(&at, &guest) || *at != '\0')
		return err_set(e, ERR_BAD_REQUEST,
			       "%s \"%s\" is not HOST_PORT:GUEST_PORT such as 8080:80", what, text);
	if (host < 1 || host > PORT_MAX || guest < 1 || guest > PORT_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%s\": a port is from 1 to %d", what, text,
			       PORT_MAX);
	*ret_publish = (struct publish){ .host = (uint32_t)host, .guest = (uint32_t)guest };
	return 0;
}

int pair_check(const char *what, const char *text, struct err *e)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%s\" is not KEY=VALUE", what, text);
	return 0;
}

int signal_parse(const char *what, const char *text, uint32_t *ret_signo, struct err *e)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	const char *at = text;
	uint64_t n = 0;

	if (digits_take(&at, &n) && *at == '\0' && n >= 1 && n <= SIGNAL_MAX) {
		*ret_signo = (uint32_t)n;
		return 0;
	}
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, name) == 0) {
			*ret_signo = (uint32_t)i;
			return 0;
		}
	}
	return err_set(e, ERR_BAD_REQUEST, "%s \"%s\" is not a signal such as TERM or 15", what,
		       text);
}
