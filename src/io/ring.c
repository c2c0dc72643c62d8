/* ring.c - sets up the ring: created disabled, restricted to what we use, then enabled.
 *
 * A seccomp filter does not see what a ring is asked to do, so the ring carries its own list.
 * Debian's liburing 2.3 has wrappers for registering restrictions and for enabling in its header
 * but not in its library, hence the raw calls.  Sources: io_uring_setup(2), io_uring_register(2).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macros.h"
#include "io/uring.h"

static const uint8_t allowed_ops[] = {
	IORING_OP_RECV,     IORING_OP_SEND,         IORING_OP_ACCEPT, IORING_OP_CONNECT,
	IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_READ,   IORING_OP_RECVMSG,
};

/* io_uring_queue_exit() gives the registered ring descriptor back; nothing else comes later. */
static const uint8_t allowed_registers[] = { IORING_UNREGISTER_RING_FDS };

static int ring_restrict(struct uring *u)
{
	struct io_uring_restriction res[ARRAY_LEN(allowed_ops) + ARRAY_LEN(allowed_registers) + 1];
	uint32_t n = 0;

	memset(res, 0, sizeof(res));
	for (size_t i = 0; i < ARRAY_LEN(allowed_ops); i++, n++) {
		res[n].opcode = IORING_RESTRICTION_SQE_OP;
		res[n].sqe_op = allowed_ops[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(allowed_registers); i++, n++) {
		res[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		res[n].register_op = allowed_registers[i];
	}
	res[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	res[n++].sqe_flags = IOSQE_BUFFER_SELECT;
	return io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, res, n);
}

static int ring_probe(struct uring *u, struct err *e)
{
	const uint32_t feats = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
			       IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;
	struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
	int missing = -1;

	if (!probe)
		return err_set(e, ERR_NO_IO_URING, "io_uring: the kernel cannot be probed");
	for (size_t i = 0; i < ARRAY_LEN(allowed_ops); i++)
		if (!io_uring_opcode_supported(probe, allowed_ops[i]))
			missing = allowed_ops[i];
	io_uring_free_probe(probe);
	if (missing >= 0 || (u->ring.features & feats) != feats)
		return err_set(e, ERR_NO_IO_URING,
			       "io_uring: this kernel is too old (operation %d, features %x); "
			       "Linux 6.1 or later is needed",
			       missing, u->ring.features);
	return 0;
}

static int buffers_up(struct uring *u, struct err *e)
{
	const size_t bytes = IO_BUFS * sizeof(struct io_uring_buf);
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return err_sys(e, ERR_HOST_MEMORY, "io_uring: receive buffers");
	u->bufs = mem;
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)mem,
		.ring_entries = IO_BUFS,
		.bgid = RING_BUF_GROUP,
	};
	const int rc = io_uring_register_buf_ring(&u->ring, &reg, 0);

	if (rc < 0)
		return err_num(e, ERR_NO_IO_URING, rc,
			       "io_uring: provided buffers; Linux 6.1 or later is needed");
	io_uring_buf_ring_init(u->bufs);
	return 0;
}

static int ring_refused(struct err *e, int rc)
{
	switch (-rc) {
	case EPERM:
	case EACCES:
		return err_num(e, ERR_NO_IO_URING, rc,
			       "io_uring: the kernel refuses it to this user; set sysctl "
			       "kernel.io_uring_disabled=0, or allow io_uring_setup in the "
			       "container's seccomp profile");
	case ENOSYS:
		return err_num(
			e, ERR_NO_IO_URING, rc,
			"io_uring: this kernel was built without it, or a container's seccomp "
			"profile hides it; CONFIG_IO_URING and Linux 6.1 are needed");
	case EINVAL:
		return err_num(e, ERR_NO_IO_URING, rc,
			       "io_uring: this kernel is too old; Linux 6.1 or later is needed");
	default:
		return err_num(e, ERR_NO_IO_URING, rc, "io_uring: setup");
	}
}

int ring_up(struct uring *u, uint32_t entries, struct err *e)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
			 IORING_SETUP_CLAMP,
		.cq_entries = entries * RING_CQ_FACTOR,
	};
	int rc = io_uring_queue_init_params(entries, &u->ring, &p);

	if (rc < 0)
		return ring_refused(e, rc);
	u->ring_up = true;
	rc = ring_probe(u, e);
	if (rc < 0)
		return rc;
	rc = buffers_up(u, e);
	if (rc < 0)
		return rc;
	rc = ring_restrict(u);
	if (rc < 0)
		return err_num(e, ERR_NO_IO_URING, rc, "io_uring: restrictions");
	rc = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (rc < 0)
		return err_num(e, ERR_NO_IO_URING, rc, "io_uring: enable");
	return 0;
}

void ring_down(struct uring *u)
{
	if (u->ring_up)
		io_uring_queue_exit(&u->ring);
	if (u->bufs)
		munmap(u->bufs, IO_BUFS * sizeof(struct io_uring_buf));
	u->ring_up = false;
	u->bufs = NULL;
}
