/* cmdline.c - the guest's kernel command line: words, each with when it is there.
 *
 * Facts: Documentation/admin-guide/kernel-parameters.txt of Linux.  tsc_early_khz spares the kernel
 * a calibration that a loaded host makes it fail, and then hang.
 * The addresses are those of QEMU's user network (docs/system/devices/net.rst).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/usernet.h"
#include "vmm/vmm.h"

#define USER_NET                                                                                   \
	"banger.ip=" USERNET_GUEST "/" USERNET_PREFIX " banger.gw=" USERNET_GATEWAY                \
	" banger.dns=" USERNET_DNS
#define FIRST_DISK  "/dev/vda"
#define SECOND_DISK "/dev/vdb"

struct line {
	char *at;
	size_t left; /* bytes, with the NUL; 0 once something did not fit */
};

static PRINTF_LIKE(2, 3) void add(struct line *line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(line->at, line->left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= line->left) {
		line->left = 0;
		return;
	}
	line->at += n;
	line->left -= (size_t)n;
}

/* A name with a blank or a quote in it would be more than one word. */
static bool is_one_word(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c <= ' ' || *c == '"' || *c == 0x7f)
			return false;
	return name[0] != '\0';
}

static void net_words(const struct vmm_machine *m, struct line *line)
{
	if (m->net == VMM_NET_USER || m->net == VMM_NET_SOCKET || m->net == VMM_NET_VSOCK)
		add(line, " " USER_NET);
	if (m->net == VMM_NET_SOCKET || m->net == VMM_NET_VSOCK)
		add(line, " banger.mtu=%d", USERNET_MTU);
	if (m->net == VMM_NET_VSOCK)
		add(line, " banger.net=vsock");
	if (m->net != VMM_NET_TAP)
		return;
	add(line, " banger.ip=%s banger.gw=%s", m->address, m->gateway);
	if (m->dns)
		add(line, " banger.dns=%s", m->dns);
}

static int linux_words(const struct vmm_machine *m, const char *words, struct line *line,
		       struct err *e)
{
	if (!is_one_word(m->name))
		return err_set(e, ERR_VM_NAME, "the guest's name is not one word");
	add(line, "%s", words);
	if (m->accel == VMM_ACCEL_TCG && m->tsc_khz)
		add(line, " tsc_early_khz=%u", m->tsc_khz);
	add(line, " banger.hostname=%s", m->name);
	net_words(m, line);
	if (m->disk)
		add(line, " banger.root=" FIRST_DISK);
	if (m->base)
		add(line, " banger.upper=" SECOND_DISK);
	return 0;
}

int vmm_cmdline(const struct vmm_machine *m, const char *words, char *out, size_t size,
		struct err *e)
{
	struct line line = { .at = out, .left = size };

	if (m->guest == VMM_GUEST_LINUX) {
		const int rc = linux_words(m, words, &line, e);

		if (rc < 0)
			return rc;
	}
	if (m->append)
		add(&line, "%s%s", m->guest == VMM_GUEST_LINUX ? " " : "", m->append);
	else
		add(&line, "%s", "");
	if (line.left == 0)
		return err_num(e, ERR_BAD_REQUEST, E2BIG, "the guest's command line");
	return 0;
}
