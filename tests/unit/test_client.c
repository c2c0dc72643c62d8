/* test_client.c - the tables as a whole, and the checks that CLI and daemon share. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/client.h"
#include "proto/guest.h"

Test(client, every_method_is_found_by_its_name_and_fits_the_envelope)
{
	for (int i = 0; i < METHOD_NMETHODS; i++) {
		enum client_method found;

		cr_assert_eq(client_method_find(client_methods[i].name, &found), 0);
		cr_assert_eq((int)found, i);
		cr_assert_lt(strlen(client_methods[i].name), WIRE_METHOD_MAX);
	}
	enum client_method none;
	cr_assert_eq(client_method_find("vm.fly", &none), -ENOSYS);
}

Test(guest, every_method_is_found_by_its_name)
{
	for (int i = 0; i < GUEST_METHOD_NMETHODS; i++) {
		enum guest_method found;

		cr_assert_eq(guest_method_find(guest_methods[i].name, &found), 0);
		cr_assert_eq((int)found, i);
	}
	enum guest_method none;
	cr_assert_eq(guest_method_find("", &none), -ENOSYS);
}

static void check_field(const struct schema *s, const struct field *f);

static void check_schema(const struct schema *s)
{
	cr_assert_leq(s->nfields, SCHEMA_FIELDS_MAX, "%s", s->name);
	for (uint32_t i = 0; i < s->nfields; i++)
		check_field(s, &s->fields[i]);
}

/* The size that the member of each kind has; 0: any. */
static size_t kind_size(enum field_kind kind)
{
	static const size_t sizes[FIELD_NKINDS] = {
		[FIELD_BOOL] = sizeof(bool),
		[FIELD_I32] = sizeof(int32_t),
		[FIELD_U32] = sizeof(uint32_t),
		[FIELD_U64] = sizeof(uint64_t),
		[FIELD_STR] = 0,
		[FIELD_TEXT] = 0,
		[FIELD_ROWS] = 0,   /* likewise */
		[FIELD_STRUCT] = 0, /* its sub-schema says */
		[FIELD_BYTES] = sizeof(struct bytes),
		[FIELD_OP_ID] = sizeof(struct op_id),
		[FIELD_VM_ID] = sizeof(vm_id),
		[FIELD_STRV] = sizeof(struct strv),
		[FIELD_PAIRS] = sizeof(struct strv),
		[FIELD_LIST] = sizeof(struct seq),
		[FIELD_SPAN] = sizeof(struct wire_span),
		[FIELD_MAP] = sizeof(struct wire_span),
	};

	return sizes[kind];
}

static void check_field(const struct schema *s, const struct field *f)
{
	const size_t size = f->kind == FIELD_STRUCT ? f->sub->size : kind_size(f->kind);

	cr_assert(size == 0 || size == f->size, "%s.%s: kind and member differ", s->name, f->name);
	cr_assert_leq((size_t)f->offset + f->size, s->size, "%s.%s", s->name, f->name);
	cr_assert_neq(f->doc[0], '\0', "%s.%s has no words", s->name, f->name);
	if (f->kind == FIELD_ROWS)
		cr_assert_eq(f->size, sizeof(void *) + f->max * f->sub->size,
			     "%s.%s: its items lie elsewhere", s->name, f->name);
	if (f->kind == FIELD_ROWS || f->kind == FIELD_STRV || f->kind == FIELD_PAIRS ||
	    f->kind == FIELD_LIST)
		cr_assert_gt(f->max, 0, "%s.%s has no bound", s->name, f->name);
	if (f->sub)
		check_schema(f->sub);
}

Test(client, every_row_fits_its_struct_and_is_bounded)
{
	for (int i = 0; i < METHOD_NMETHODS; i++) {
		check_schema(client_methods[i].args);
		check_schema(client_methods[i].result);
	}
	for (int i = 0; i < GUEST_METHOD_NMETHODS; i++) {
		check_schema(guest_methods[i].args);
		check_schema(guest_methods[i].result);
	}
	for (int i = 0; i < WIRE_NTYPES; i++)
		check_schema(&wire_schemas[i]);
	for (int i = 0; i < EVENT_NEVENTS; i++)
		check_schema(client_events[i].body);
}

static bool no_member_twice(const struct schema *s)
{
	for (uint32_t i = 0; i < s->nfields; i++)
		for (uint32_t j = 0; j < i; j++)
			if (s->fields[i].offset == s->fields[j].offset)
				return false;
	return true;
}

/* Every byte of a struct belongs to a row, but for padding: a member that was forgotten shows. */
static void check_covered(const struct schema *s)
{
	size_t covered = 0;

	for (uint32_t i = 0; i < s->nfields; i++)
		covered += s->fields[i].size;
	if (s->nfields == 0)
		return;
	cr_assert(no_member_twice(s), "%s", s->name);
	cr_assert_leq(s->size - covered, 7 * (size_t)s->nfields, "%s", s->name);
	for (uint32_t i = 0; i + 1 < s->nfields; i++) {
		const struct field *f = &s->fields[i];
		const size_t end = (size_t)f->offset + f->size;

		cr_assert_geq(s->fields[i + 1].offset, end, "%s: rows in the struct's order",
			      s->name);
		cr_assert_lt(s->fields[i + 1].offset - end, 8, "%s: a member after %s has no row",
			     s->name, f->name);
	}
}

Test(client, every_member_has_a_row)
{
	for (int i = 0; i < METHOD_NMETHODS; i++) {
		check_covered(client_methods[i].args);
		check_covered(client_methods[i].result);
	}
	for (int i = 0; i < GUEST_METHOD_NMETHODS; i++) {
		check_covered(guest_methods[i].args);
		check_covered(guest_methods[i].result);
	}
	check_covered(&vm_spec_schema);
	check_covered(&target_result_schema);
	check_covered(&op_step_schema);
	for (int i = 0; i < EVENT_NEVENTS; i++)
		check_covered(client_events[i].body);
}

static void name_refused(const char *name, const char *message)
{
	struct err e = { 0 };

	cr_assert_eq(vm_name_check(name, &e), -EINVAL, "%s", name);
	cr_assert_str_eq(e.text, message);
	cr_assert_eq(e.code, ERR_VM_NAME);
}

Test(vm_name, is_a_dns_label)
{
	char longest[VM_NAME_MAX + 1] = { 0 };

	memset(longest, 'a', VM_NAME_MAX);
	cr_assert_eq(vm_name_check("a", NULL), 0);
	cr_assert_eq(vm_name_check("web-1", NULL), 0);
	cr_assert_eq(vm_name_check("0", NULL), 0);
	cr_assert_eq(vm_name_check(longest, NULL), 0);
}

Test(vm_name, errors_name_the_character_or_the_length)
{
	name_refused("", "name: is empty");
	name_refused("Web", "name \"Web\": 'W' at character 1");
	name_refused("a_b", "name \"a_b\": '_' at character 2");
	name_refused("a.b", "name \"a.b\": '.' at character 2");
	name_refused("-a", "name \"-a\": begins with '-'");
	name_refused("a-", "name \"a-\": ends with '-'");
	name_refused("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		     "name \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\": has 64 characters, at "
		     "most 63");
}

Test(object_name, has_more_characters_but_is_no_path_or_option)
{
	struct err e = { 0 };

	cr_assert_eq(object_name_check("image", "debian:bookworm-slim_1.0", &e), 0);
	cr_assert_eq(object_name_check("image", "", &e), -EINVAL);
	cr_assert_str_eq(e.text, "image name: is empty");
	cr_assert_eq(object_name_check("image", "..", &e), -EINVAL);
	cr_assert_str_eq(e.text, "image name \"..\": begins with '.'");
	cr_assert_eq(object_name_check("kernel", "-f", &e), -EINVAL);
	cr_assert_eq(object_name_check("kernel", "a/b", &e), -EINVAL);
	cr_assert_str_eq(e.text, "kernel name \"a/b\": '/' at character 2; use letters, digits and "
				 ". _ : -");
	cr_assert_eq(e.code, ERR_BAD_REQUEST);
}

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

Test(size, is_read_with_or_without_a_unit)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {
		{ "4G", 4 * GIB },
		{ "4GiB", 4 * GIB },
		{ "512M", 512 * MIB },
		{ "512MiB", 512 * MIB },
		{ "512", 512 * MIB },
		{ "16", MEMORY_MIN_BYTES },
		{ "1024G", MEMORY_MAX_BYTES },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		uint64_t bytes = 0;

		cr_assert_eq(size_parse("--memory", rows[i].text, MEMORY_MIN_BYTES,
					MEMORY_MAX_BYTES, &bytes, &e),
			     0, "%s", e.text);
		cr_assert_eq(bytes, rows[i].bytes, "%s", rows[i].text);
	}
}

Test(size, errors_name_the_word_and_what_is_wrong_with_it)
{
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{ "", "--memory: \"\" is empty" },
		{ "0", "--memory: \"0\" is zero" },
		{ "0G", "--memory: \"0G\" is zero" },
		{ "-4G", "--memory: \"-4G\" is negative" },
		{ "G", "--memory: \"G\" is not a number" },
		{ "four", "--memory: \"four\" is not a number" },
		{ " 4", "--memory: \" 4\" is not a number" },
		{ "+4", "--memory: \"+4\" is not a number" },
		{ "4X", "--memory: \"4X\" has the unknown suffix \"X\"" },
		{ "4GB", "--memory: \"4GB\" has the unknown suffix \"GB\"" },
		{ "1.5G", "--memory: \"1.5G\" has the unknown suffix \".5G\"" },
		{ "15", "--memory: \"15\" is under the least, 16MiB" },
		{ "1025G", "--memory: \"1025G\" is over the most, 1024GiB" },
		{ "17179869184G", "--memory: \"17179869184G\" is over the most, 1024GiB" },
		{ "99999999999999999999",
		  "--memory: \"99999999999999999999\" is over the most, 1024GiB" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		uint64_t bytes = 77;

		cr_assert_eq(size_parse("--memory", rows[i].text, MEMORY_MIN_BYTES,
					MEMORY_MAX_BYTES, &bytes, &e),
			     -EINVAL, "%s", rows[i].text);
		cr_assert_str_eq(e.text, rows[i].message);
		cr_assert_eq(e.code, ERR_VM_SIZE);
		cr_assert_eq(bytes, 77, "untouched on failure");
	}
}
