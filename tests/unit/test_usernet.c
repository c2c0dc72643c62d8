/* test_usernet.c - the command lines of the network beside a VMM, and of a QEMU that has one. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"
#include "vmm/usernet.h"

static bool has_words(const struct strv *argv, const char *a, const char *b)
{
	for (uint32_t i = 0; i + 1 < argv->n; i++)
		if (strcmp(argv->v[i], a) == 0 && (!b || strcmp(argv->v[i + 1], b) == 0))
			return true;
	return false;
}

static const struct vmm_publish ports[] = { { 2222, 22 }, { 8080, 80 } };

/* All of it, word by word. */
static void expect_words(const struct usernet *n, const char *want)
{
	struct strv argv = { 0 };
	char got[512] = "";
	size_t len = 0;

	cr_assert_eq(usernet_argv(n, &argv), 0);
	for (uint32_t i = 0; i < argv.n; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s", i ? " " : "",
					argv.v[i]);
	cr_expect_str_eq(got, want);
	strv_fini(&argv);
}

Test(usernet, banger_net_is_told_its_socket_and_its_ports)
{
	struct usernet n = { .program = USERNET_BANGER,
			     .binary = "/l/banger-net",
			     .id = 1,
			     .home = "home",
			     .fd = 3 };

	expect_words(&n, "/l/banger-net --name network=bg-000000000001.home --fd 3");
	n.listens = true;
	n.host_loopback = true;
	n.publish = ports;
	n.npublish = ARRAY_LEN(ports);
	expect_words(&n, "/l/banger-net --name network=bg-000000000001.home --listen 3 "
			 "--host-loopback --publish 2222:22 --publish 8080:80");
}

static uint32_t number(const char *address)
{
	struct in_addr a;

	cr_assert_eq(inet_pton(AF_INET, address, &a), 1, "%s", address);
	return ntohl(a.s_addr);
}

/* Who says it to guests and who does it are in rooms that do not know each other. */
Test(usernet, both_sides_mean_the_same_network)
{
	cr_expect_eq(number(USERNET_GUEST), NET_GUEST);
	cr_expect_eq(number(USERNET_GATEWAY), NET_GATEWAY);
	cr_expect_eq(number(USERNET_DNS), NET_DNS);
	cr_expect_eq(number(USERNET_GUEST) & NET_MASK, NET_NETWORK);
	cr_expect_eq(strtoul(USERNET_PREFIX, NULL, 10), 32 - __builtin_ctz(NET_MASK));
	cr_expect_eq(USERNET_MTU, NET_MTU);
	cr_expect_leq(VMM_PUBLISH_MAX, NET_PUBLISH_MAX);
}

Test(usernet, its_word_is_found_and_is_no_vmms)
{
	char word[VMM_WORD_BYTES];

	usernet_word(7, "home", word);
	cr_expect_eq(vmm_process_find(word, strlen(word), NULL), 0);
	cr_expect_eq(vmm_word_find(USERNET_PROCESS_PREFIX, word, strlen(word), "home"), 7);
	cr_expect_eq(vmm_word_find(USERNET_PROCESS_PREFIX, word, strlen(word), "other"), 0);
	vmm_process_word(7, "home", word);
	cr_expect_eq(vmm_word_find(USERNET_PROCESS_PREFIX, word, strlen(word), NULL), 0);
}

Test(usernet, passt_is_told_its_ports_and_keeps_off_the_hosts_loopback)
{
	struct usernet p = { .program = USERNET_PASST,
			     .binary = "/usr/bin/passt",
			     .id = 1,
			     .home = "home",
			     .fd = 3,
			     .publish = ports,
			     .npublish = ARRAY_LEN(ports) };
	struct strv argv = { 0 };
	char word[VMM_WORD_BYTES];

	usernet_word(1, "home", word);
	cr_assert_eq(usernet_argv(&p, &argv), 0);
	cr_assert_str_eq(argv.v[0], p.binary);
	cr_assert(has_words(&argv, "-F", "3"));
	cr_assert(has_words(&argv, "-S", word));
	cr_assert(has_words(&argv, "-t", "127.0.0.1/2222:22"));
	cr_assert(has_words(&argv, "-t", "127.0.0.1/8080:80"));
	cr_assert(has_words(&argv, "--no-map-gw", NULL));
	strv_fini(&argv);
	p.host_loopback = true;
	cr_assert_eq(usernet_argv(&p, &argv), 0);
	cr_assert(!has_words(&argv, "--no-map-gw", NULL));
	strv_fini(&argv);
}

Test(usernet, a_port_that_is_taken_is_told_from_other_ends)
{
	cr_assert_eq(usernet_explain("Failed to bind any port for '-t 127.0.0.1/80:80', exiting"),
		     ERR_PORT_BUSY);
	cr_assert_eq(usernet_explain(""), ERR_NETWORK);
}

Test(usernet, qemu_inherits_the_listener_and_the_guest_is_told_the_mtu)
{
	const struct vmm_machine m = {
		.binary = "/usr/bin/qemu-system-x86_64",
		.id = 1,
		.name = "web-1",
		.guest = VMM_GUEST_LINUX,
		.vcpu = 1,
		.memory_bytes = UINT64_C(256) << 20,
		.kernel = "/k/vmlinux",
		.net = VMM_NET_SOCKET,
		.net_fd = 6,
		.socket_fd = { 3, 4, 5 },
	};
	struct strv argv = { 0 };
	struct err e = { 0 };
	bool told = false;

	cr_assert_eq(vmm_qemu.argv(&m, &argv, &e), 0, "%s", e.text);
	cr_assert(has_words(&argv, "-netdev", "stream,id=net,server=on,addr.type=fd,addr.str=6"));
	for (uint32_t i = 0; i < argv.n; i++)
		told = told || strstr(argv.v[i], "banger.ip=10.0.2.15/24 banger.gw=10.0.2.2 "
						 "banger.dns=10.0.2.3 banger.mtu=60000");
	cr_assert(told);
	strv_fini(&argv);
}
