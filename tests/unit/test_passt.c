/* test_passt.c - the command lines of passt, and of a QEMU that has one. */
#include <criterion/criterion.h>
#include <string.h>

#include "vmm/passt.h"

static bool has_words(const struct strv *argv, const char *a, const char *b)
{
	for (uint32_t i = 0; i + 1 < argv->n; i++)
		if (strcmp(argv->v[i], a) == 0 && (!b || strcmp(argv->v[i + 1], b) == 0))
			return true;
	return false;
}

Test(passt, is_told_its_ports_and_keeps_off_the_hosts_loopback)
{
	static const struct vmm_publish ports[] = { { 2222, 22 }, { 8080, 80 } };
	struct passt p = { .binary = "/usr/bin/passt",
			   .id = 1,
			   .home = "home",
			   .fd = 3,
			   .publish = ports,
			   .npublish = ARRAY_LEN(ports) };
	struct strv argv = { 0 };
	char word[PASST_WORD_BYTES];

	passt_word(1, "home", word);
	cr_assert_eq(strncmp(word, PASST_WORD_PREFIX, strlen(PASST_WORD_PREFIX)), 0);
	cr_assert_eq(vmm_process_find(word, strlen(word), NULL), 0, "it is no VMM's word");
	cr_assert_eq(passt_argv(&p, &argv), 0);
	cr_assert_str_eq(argv.v[0], p.binary);
	cr_assert(has_words(&argv, "-F", "3"));
	cr_assert(has_words(&argv, "-S", word));
	cr_assert(has_words(&argv, "-t", "127.0.0.1/2222:22"));
	cr_assert(has_words(&argv, "-t", "127.0.0.1/8080:80"));
	cr_assert(has_words(&argv, "--no-map-gw", NULL));
	strv_fini(&argv);
	p.host_loopback = true;
	cr_assert_eq(passt_argv(&p, &argv), 0);
	cr_assert(!has_words(&argv, "--no-map-gw", NULL));
	strv_fini(&argv);
}

Test(passt, a_port_that_is_taken_is_told_from_other_ends)
{
	cr_assert_eq(passt_explain("Failed to bind any port for '-t 127.0.0.1/80:80', exiting"),
		     ERR_PORT_BUSY);
	cr_assert_eq(passt_explain(""), ERR_NETWORK);
}

Test(passt, qemu_inherits_the_listener_and_the_guest_is_told_the_mtu)
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
