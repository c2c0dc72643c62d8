#include "proto/record.h"

#include <stdint.h>

/* clang-format off */
static const struct field vm_record_fields[] = {
	FIELD(struct vm_record, version,       FIELD_U32,   true,  1, UINT32_MAX, "version of the writer"),
	FIELD(struct vm_record, id,            FIELD_VM_ID, true,  0, 0, ""),
	FIELD(struct vm_record, state,         FIELD_U32,   true,  0, 63, "enum vm_state"),
	FIELD_SUB(struct vm_record, spec,      FIELD_STRUCT, true, 0, 0, &vm_spec_schema, ""),
	FIELD(struct vm_record, created_by,    FIELD_OP_ID, false, 0, 0, "operation that made it"),
	FIELD(struct vm_record, created_index, FIELD_U32,   false, 0, UINT32_MAX, ""),
	FIELD(struct vm_record, lease,         FIELD_BOOL,  false, 0, 0, ""),
	FIELD(struct vm_record, slot,          FIELD_U32,   false, 0, UINT16_MAX, ""),
	FIELD(struct vm_record, address,       FIELD_STR,   false, 0, 0, ""),
	FIELD(struct vm_record, disk,          FIELD_STR,   false, 0, 0, ""),
	FIELD(struct vm_record, created_ms,    FIELD_U64,   false, 0, UINT64_MAX, ""),
	FIELD(struct vm_record, started_ms,    FIELD_U64,   false, 0, UINT64_MAX, ""),
	FIELD(struct vm_record, boot_id,       FIELD_STR,   false, 0, 0, ""),
	FIELD(struct vm_record, accel,         FIELD_STR,   false, 0, 0, ""),
	FIELD(struct vm_record, failure,       FIELD_STR,   false, 0, 0, ""),
	FIELD(struct vm_record, exit_status,   FIELD_I32,   false, 0, 0, ""),
};

static const struct field vm_resources_fields[] = {
	FIELD(struct vm_resources, version,     FIELD_U32,  true,  1, UINT32_MAX, "version of the writer"),
	FIELD(struct vm_resources, files,       FIELD_BOOL, false, 0, 0, ""),
	FIELD(struct vm_resources, runtime,     FIELD_BOOL, false, 0, 0, ""),
	FIELD(struct vm_resources, process,     FIELD_BOOL, false, 0, 0, ""),
	FIELD(struct vm_resources, pid,         FIELD_U32,  false, 0, INT32_MAX, ""),
	FIELD(struct vm_resources, start_ticks, FIELD_U64,  false, 0, UINT64_MAX, ""),
	FIELD(struct vm_resources, network,     FIELD_BOOL, false, 0, 0, ""),
	FIELD(struct vm_resources, net_pid,     FIELD_U32,  false, 0, INT32_MAX, ""),
	FIELD(struct vm_resources, net_ticks,   FIELD_U64,  false, 0, UINT64_MAX, ""),
	FIELD(struct vm_resources, console_at,  FIELD_U64,  false, 0, UINT64_MAX, ""),
	FIELD(struct vm_resources, helper,      FIELD_BOOL, false, 0, 0, ""),
	FIELD(struct vm_resources, cgroup,      FIELD_STR,  false, 0, 0, ""),
};

static const struct field accel_record_fields[] = {
	FIELD(struct accel_record, version,     FIELD_U32,  true,  1, UINT32_MAX, "version of the writer"),
	FIELD(struct accel_record, identity,    FIELD_STR,  true,  1, 0, ""),
	FIELD(struct accel_record, kvm_up_us,   FIELD_U64,  false, 0, UINT64_MAX, ""),
	FIELD(struct accel_record, kvm_us,      FIELD_U64,  false, 0, UINT64_MAX, ""),
	FIELD(struct accel_record, tcg_up_us,   FIELD_U64,  false, 0, UINT64_MAX, ""),
	FIELD(struct accel_record, tcg_us,      FIELD_U64,  false, 0, UINT64_MAX, ""),
	FIELD(struct accel_record, words,       FIELD_TEXT, false, 0, 0, ""),
	FIELD(struct accel_record, measured_ms, FIELD_U64,  false, 0, UINT64_MAX, ""),
};

static const struct field op_record_fields[] = {
	FIELD(struct op_record, version,   FIELD_U32,    true,  1, UINT32_MAX, "version of the writer"),
	FIELD(struct op_record, method,    FIELD_STR,    true,  1, 0, ""),
	FIELD(struct op_record, digest,    FIELD_U64,    false, 0, UINT64_MAX, ""),
	FIELD(struct op_record, done,      FIELD_BOOL,   false, 0, 0, ""),
	FIELD_SUB(struct op_record, view,  FIELD_STRUCT, true,  0, 0, &op_view_schema, ""),
	FIELD(struct op_record, targets,   FIELD_BYTES,  false, 0, COUNT_MAX * 8, ""),
	FIELD(struct op_record, result,    FIELD_BYTES,  false, 0, 1 << 20, ""),
	FIELD(struct op_record, sys,       FIELD_I32,    false, 0, 0, ""),
};
/* clang-format on */

const struct schema vm_record_schema = {
	.name = "vm_record",
	.size = sizeof(struct vm_record),
	.fields = vm_record_fields,
	.nfields = ARRAY_LEN(vm_record_fields),
	.open = true,
};

const struct schema vm_resources_schema = {
	.name = "vm_resources",
	.size = sizeof(struct vm_resources),
	.fields = vm_resources_fields,
	.nfields = ARRAY_LEN(vm_resources_fields),
	.open = true,
};

const struct schema op_record_schema = {
	.name = "op_record",
	.size = sizeof(struct op_record),
	.fields = op_record_fields,
	.nfields = ARRAY_LEN(op_record_fields),
	.open = true,
};

const struct schema accel_record_schema = {
	.name = "accel_record",
	.size = sizeof(struct accel_record),
	.fields = accel_record_fields,
	.nfields = ARRAY_LEN(accel_record_fields),
	.open = true,
};
