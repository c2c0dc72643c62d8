/* test_accel.c - what the host is told apart by, and which accelerator a probe gets. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/accel_host.h"
#include "vmm/vmm.h"

#define GONE "/nonexistent/kvm"

static char qemu[] = "/tmp/banger-test-qemu-XXXXXX";

static void make_qemu(void)
{
	const int fd = mkstemp(qemu);

	cr_assert_geq(fd, 0);
	close(fd);
}

static void remove_qemu(void)
{
	unlink(qemu);
}

TestSuite(accel_host, .init = make_qemu, .fini = remove_qemu);

Test(accel_host, the_same_host_looks_the_same)
{
	struct accel_host a;
	struct accel_host b;

	accel_host_look("/dev/null", qemu, &a);
	accel_host_look("/dev/null", qemu, &b);
	cr_expect(a.usable);
	cr_expect_str_empty(a.why);
	cr_expect_str_eq(a.identity, b.identity);
	cr_expect_not_null(strstr(a.identity, "boot="));
}

Test(accel_host, a_device_that_does_not_open_is_named)
{
	struct accel_host h;

	accel_host_look(GONE, qemu, &h);
	cr_expect_not(h.usable);
	cr_expect_str_eq(h.why, GONE ": No such file or directory");
}

Test(accel_host, another_qemu_or_other_permissions_are_another_host)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 1 } };
	struct accel_host seen[4];

	accel_host_look("/dev/null", qemu, &seen[0]);
	cr_assert_eq(utimensat(AT_FDCWD, qemu, times, 0), 0);
	accel_host_look("/dev/null", qemu, &seen[1]);
	accel_host_look(qemu, qemu, &seen[2]);
	cr_assert_eq(chmod(qemu, 0640), 0);
	accel_host_look(qemu, qemu, &seen[3]);
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(seen[i].identity, seen[k].identity, "%zu, %zu", i, k);
}

Test(accel_host, the_longest_identity_fits)
{
	struct accel_host h;

	accel_host_look("/dev/null", qemu, &h);
	cr_expect_not_null(strstr(h.identity, " as="));
	cr_expect_lt(strlen(h.identity), ACCEL_IDENTITY_MAX - 1);
}

Test(accel_probe, a_probe_gets_what_brings_it_up_sooner)
{
	static const struct {
		uint64_t kvm_up_us, tcg_up_us;
		enum vmm_accel accel;
	} rows[] = {
		{ 37000, 27000, VMM_ACCEL_TCG }, /* an emulating KVM, as observed */
		{ 24000, 27000, VMM_ACCEL_KVM }, { 28000, 27000, VMM_ACCEL_KVM },
		{ 0, 27000, VMM_ACCEL_TCG },     { 24000, 0, VMM_ACCEL_KVM },
		{ 0, 0, VMM_ACCEL_TCG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect_eq(vmm_judge_probe(rows[i].kvm_up_us, rows[i].tcg_up_us), rows[i].accel,
			     "row %zu", i);
}
