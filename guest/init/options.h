/* options.h - who this guest is: words of the kernel's command line.
 *
 *   banger.hostname=NAME  banger.ip=ADDRESS/PREFIX  banger.gw=ADDRESS  banger.dns=ADDRESS
 *   banger.root=/dev/vda  banger.upper=/dev/vdb
 *   banger.net=vsock  banger.mtu=BYTES
 *
 * Other words are the kernel's or somebody else's and are skipped.  IPv4 only.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "base/err.h"

enum {
	OPTION_HOSTNAME_MAX = 64, /* HOST_NAME_MAX of Linux */
	OPTION_PATH_MAX = 64,
	OPTION_MTU_MIN = 68,       /* RFC 791 */
	OPTION_MTU_MAX = 65521,    /* of a tap in Linux: with the Ethernet header it is 65,535 */
	OPTION_CMDLINE_MAX = 4096, /* COMMAND_LINE_SIZE is 2048 on x86 */
};

struct options {
	char hostname[OPTION_HOSTNAME_MAX + 1]; /* "": the image's business */
	char root[OPTION_PATH_MAX + 1];         /* default /dev/vda */
	char upper[OPTION_PATH_MAX + 1]; /* "": root is written to; else what takes its writes */
	bool net_vsock;                  /* eth0 is a tap whose frames the agent carries */
	uint32_t mtu;                    /* of eth0; 0: as it is */
	struct in_addr address;          /* 0: no network is configured */
	struct in_addr netmask;
	struct in_addr gateway; /* 0: none */
	struct in_addr dns;     /* 0: none */
};

int options_parse(const char *cmdline, struct options *ret_options, struct err *e);
int options_read(const char *path, struct options *ret_options, struct err *e);
