#include "guest/init/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ROOT_DEFAULT "/dev/vda"
#define WORD_BREAKS  " \t\n"

static int hostname_set(struct options *o, const char *value, struct err *e)
{
	if (strlen(value) > OPTION_HOSTNAME_MAX || value[0] == '\0')
		return err_set(e, ERR_GUEST_BOOT, "banger.hostname: 1 to %d characters",
			       OPTION_HOSTNAME_MAX);
	memcpy(o->hostname, value, strlen(value) + 1);
	return 0;
}

static int device_set(const char *key, char to[OPTION_PATH_MAX + 1], const char *value,
		      struct err *e)
{
	if (strlen(value) > OPTION_PATH_MAX || value[0] != '/')
		return err_set(e, ERR_GUEST_BOOT, "%s: %s: not a device's path", key, value);
	memcpy(to, value, strlen(value) + 1);
	return 0;
}

static int root_set(struct options *o, const char *value, struct err *e)
{
	return device_set("banger.root", o->root, value, e);
}

static int upper_set(struct options *o, const char *value, struct err *e)
{
	return device_set("banger.upper", o->upper, value, e);
}

static int net_set(struct options *o, const char *value, struct err *e)
{
	if (strcmp(value, "vsock") != 0)
		return err_set(e, ERR_GUEST_BOOT, "banger.net: %s: not vsock", value);
	o->net_vsock = true;
	return 0;
}

static int mtu_set(struct options *o, const char *value, struct err *e)
{
	char *end = NULL;
	const unsigned long mtu = strtoul(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end != '\0' || mtu < OPTION_MTU_MIN ||
	    mtu > OPTION_MTU_MAX)
		return err_set(e, ERR_GUEST_BOOT, "banger.mtu: %s: not %d to %d", value,
			       OPTION_MTU_MIN, OPTION_MTU_MAX);
	o->mtu = (uint32_t)mtu;
	return 0;
}

static int address_parse(const char *name, const char *text, struct in_addr *ret_addr,
			 struct err *e)
{
	if (inet_pton(AF_INET, text, ret_addr) != 1)
		return err_set(e, ERR_GUEST_BOOT, "%s: %s: not an IPv4 address", name, text);
	return 0;
}

static int ip_set(struct options *o, const char *value, struct err *e)
{
	char text[INET_ADDRSTRLEN] = "";
	const char *slash = strchr(value, '/');
	const size_t len = slash ? (size_t)(slash - value) : 0;
	char *end = NULL;

	if (!slash || len >= sizeof(text))
		return err_set(e, ERR_GUEST_BOOT, "banger.ip: %s: not ADDRESS/PREFIX", value);
	memcpy(text, value, len);

	const unsigned long prefix = strtoul(slash + 1, &end, 10);

	if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || prefix < 1 || prefix > 32)
		return err_set(e, ERR_GUEST_BOOT, "banger.ip: %s: prefix is not 1 to 32", value);
	o->netmask.s_addr = htonl((uint32_t)(UINT64_C(0xffffffff) << (32 - prefix)));
	return address_parse("banger.ip", text, &o->address, e);
}

static int gateway_set(struct options *o, const char *value, struct err *e)
{
	return address_parse("banger.gw", value, &o->gateway, e);
}

static int dns_set(struct options *o, const char *value, struct err *e)
{
	return address_parse("banger.dns", value, &o->dns, e);
}

static const struct {
	const char *key;
	int (*set)(struct options *o, const char *value, struct err *e);
} option_rows[] = {
	{ "banger.hostname=", hostname_set }, { "banger.ip=", ip_set },
	{ "banger.gw=", gateway_set },        { "banger.dns=", dns_set },
	{ "banger.root=", root_set },         { "banger.upper=", upper_set },
	{ "banger.net=", net_set },           { "banger.mtu=", mtu_set },
};

static int word_take(struct options *o, const char *word, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
		const size_t len = strlen(option_rows[i].key);

		if (strncmp(word, option_rows[i].key, len) == 0)
			return option_rows[i].set(o, word + len, e);
	}
	return 0;
}

int options_parse(const char *cmdline, struct options *ret_options, struct err *e)
{
	struct options o = { .root = ROOT_DEFAULT };
	char copy[OPTION_CMDLINE_MAX + 1];
	char *save = NULL;

	if (strlen(cmdline) > OPTION_CMDLINE_MAX)
		return err_num(e, ERR_GUEST_BOOT, E2BIG, "command line");
	(void)snprintf(copy, sizeof(copy), "%s", cmdline);
	for (char *w = strtok_r(copy, WORD_BREAKS, &save); w;
	     w = strtok_r(NULL, WORD_BREAKS, &save)) {
		const int rc = word_take(&o, w, e);

		if (rc < 0)
			return rc;
	}
	*ret_options = o;
	return 0;
}

int options_read(const char *path, struct options *ret_options, struct err *e)
{
	char text[OPTION_CMDLINE_MAX + 1];
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, ERR_GUEST_BOOT, "open %s", path);

	const ssize_t n = read(fd, text, OPTION_CMDLINE_MAX);

	if (n < 0)
		return err_sys(e, ERR_GUEST_BOOT, "read %s", path);
	text[n] = '\0';
	return options_parse(text, ret_options, e);
}
