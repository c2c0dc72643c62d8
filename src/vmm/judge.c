/* judge.c - KVM or TCG?
 *
 * That /dev/kvm opens says little: a cloud's nested KVM may emulate each instruction, and then
 * Linux takes minutes where TCG takes seconds, although a tiny guest comes up as fast.  Hence the
 * probe's loop of three million instructions.  Observed: 1 to 2 ms on hardware, 5 ms under TCG,
 * 2.5 to 2.8 s where KVM emulates.
 */
#include <assert.h>

#include "vmm/vmm.h"

enum {
	/* Below this KVM is hardware, however loaded the host: an emulator would have to do 30
	 * million instructions a second. */
	KVM_FAST_US = 100 * 1000,

	PROBE_CLOSE = 8, /* an eighth slower is close */
};

static const char *const reason_texts[] = {
	[VMM_REASON_KVM_FAST] = "KVM runs guests in hardware",
	[VMM_REASON_KVM_BEST] = "KVM is slow here, but not slower than emulation",
	[VMM_REASON_KVM_ALONE] = "KVM is slow here, and nothing here emulates instead",
	[VMM_REASON_KVM_ABSENT] = "KVM cannot be used here",
	[VMM_REASON_KVM_EMULATES] = "KVM emulates each instruction on this host",
	[VMM_REASON_NONE] = "no test guest came up, neither with KVM nor without",
};
static_assert(ARRAY_LEN(reason_texts) == VMM_NREASONS, "each reason has its text");

const char *vmm_reason_text(enum vmm_reason reason)
{
	return reason_texts[reason];
}

struct vmm_verdict vmm_judge(uint64_t kvm_us, uint64_t tcg_us)
{
	if (kvm_us == VMM_BENCH_NONE && tcg_us == VMM_BENCH_NONE)
		return (struct vmm_verdict){ VMM_ACCEL_TCG, VMM_REASON_NONE };
	if (kvm_us == VMM_BENCH_NONE)
		return (struct vmm_verdict){ VMM_ACCEL_TCG, VMM_REASON_KVM_ABSENT };
	if (kvm_us < KVM_FAST_US)
		return (struct vmm_verdict){ VMM_ACCEL_KVM, VMM_REASON_KVM_FAST };
	if (tcg_us == VMM_BENCH_NONE)
		return (struct vmm_verdict){ VMM_ACCEL_KVM, VMM_REASON_KVM_ALONE };
	if (kvm_us / VMM_KVM_SLOWER_MAX <= tcg_us)
		return (struct vmm_verdict){ VMM_ACCEL_KVM, VMM_REASON_KVM_BEST };
	return (struct vmm_verdict){ VMM_ACCEL_TCG, VMM_REASON_KVM_EMULATES };
}

enum vmm_accel vmm_judge_probe(uint64_t kvm_up_us, uint64_t tcg_up_us)
{
	if (kvm_up_us == 0)
		return VMM_ACCEL_TCG;
	if (tcg_up_us == 0 || kvm_up_us <= tcg_up_us + tcg_up_us / PROBE_CLOSE)
		return VMM_ACCEL_KVM;
	return VMM_ACCEL_TCG;
}
