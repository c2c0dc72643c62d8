/* fake_resolved.c - an org.freedesktop.resolve1 that writes down what it is told, one line a call.
 *
 *   fake_resolved ADDRESS [fail METHOD]     prints "ready", then the calls, until its stdin closes
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/macros.h"

static const char *failing; /* the method that says no */

/* Any message's content as text: what the helper sends is read by somebody else's code. */
static int print_content(sd_bus_message *m)
{
	for (;;) {
		char type;
		const char *contents;
		int rc = sd_bus_message_peek_type(m, &type, &contents);

		if (rc <= 0)
			return rc;
		if (type == 'a' || type == 'r') {
			(void)printf(" %s", type == 'a' ? "[" : "(");
			rc = sd_bus_message_enter_container(m, type, contents);
			if (rc >= 0)
				rc = print_content(m);
			if (rc >= 0)
				rc = sd_bus_message_exit_container(m);
			(void)printf(" %s", type == 'a' ? "]" : ")");
		} else if (type == 's') {
			const char *s;

			rc = sd_bus_message_read_basic(m, type, &s);
			(void)printf(" \"%s\"", rc < 0 ? "?" : s);
		} else {
			union {
				uint8_t y;
				uint16_t q;
				int32_t i;
				int b;
			} v = { .i = 0 };

			rc = sd_bus_message_read_basic(m, type, &v);
			(void)printf(" %d", type == 'y'   ? v.y
					    : type == 'q' ? v.q
					    : type == 'b' ? v.b
							  : v.i);
		}
		if (rc < 0)
			return rc;
	}
}

static int called(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *const member = sd_bus_message_get_member(m);

	(void)arg;
	(void)printf("%s", member);
	const int rc = print_content(m);
	(void)printf("\n");
	(void)fflush(stdout);
	if (rc < 0)
		return rc;
	if (failing && strcmp(member, failing) == 0)
		return sd_bus_error_set(error, "org.freedesktop.resolve1.LinkBusy",
					"the link is managed");
	return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("SetLinkDNSEx", "ia(iayqs)", "", called, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("SetLinkDomains", "ia(sb)", "", called, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("SetLinkDefaultRoute", "ib", "", called, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("SetLinkDNSSEC", "is", "", called, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("SetLinkLLMNR", "is", "", called, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("SetLinkMulticastDNS", "is", "", called, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("RevertLink", "i", "", called, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int serve(sd_bus *bus)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = 0, .events = POLLIN },
					{ .fd = sd_bus_get_fd(bus), .events = POLLIN } };
		int rc;

		do
			rc = sd_bus_process(bus, NULL);
		while (rc > 0);
		if (rc < 0)
			return rc;
		if (poll(fds, ARRAY_LEN(fds), -1) < 0)
			return -errno;
		if (fds[0].revents)
			return 0;
	}
}

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	int rc;

	if (argc == 4)
		failing = argv[3];
	rc = sd_bus_new(&bus);
	if (rc >= 0)
		rc = sd_bus_set_address(bus, argv[1]);
	if (rc >= 0)
		rc = sd_bus_set_bus_client(bus, 1);
	if (rc >= 0)
		rc = sd_bus_start(bus);
	if (rc >= 0)
		rc = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/resolve1",
					      "org.freedesktop.resolve1.Manager", vtable, NULL);
	if (rc >= 0)
		rc = sd_bus_request_name(bus, "org.freedesktop.resolve1", 0);
	if (rc >= 0) {
		(void)puts("ready");
		(void)fflush(stdout);
		rc = serve(bus);
	}
	sd_bus_flush_close_unref(bus);
	if (rc < 0)
		(void)fprintf(stderr, "fake_resolved: %s\n", strerrordesc_np(-rc));
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
