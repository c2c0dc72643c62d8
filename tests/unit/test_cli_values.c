#include <criterion/criterion.h>

#include "cli/values.h"
#include "vmm/vmm.h"

Test(values, words_of_a_command_by_place)
{
	const char *targets = "REF... | -l KEY=VALUE | --all";

	cr_assert_eq(value_kind_at(targets, 0)->source, VALUE_VMS);
	cr_assert_eq(value_kind_at(targets, 7)->source, VALUE_VMS);
	cr_assert_eq(value_kind_at("[REF] [--] CMD [ARG...]", 0)->source, VALUE_VMS);
	cr_assert_null(value_kind_at("[REF] [--] CMD [ARG...]", 1));
	cr_assert_null(value_kind_at("[-- CMD [ARG...]]", 0));
	cr_assert_null(value_kind_at("", 0));
	cr_assert_eq(value_kind_at("PATH DIR", 1)->source, VALUE_DIRS);
	cr_assert_null(value_kind_at("PATH DIR", 2));
	cr_assert_eq(value_kind_at("SOURCE", 0), &value_free);
}

Test(values, a_wrong_word_is_refused_and_the_nearest_named)
{
	struct err e = { 0 };

	cr_assert_eq(value_check("--state", value_kind("STATE", 5), "running", &e), 0);
	cr_assert_lt(value_check("--state", value_kind("STATE", 5), "stoped", &e), 0);
	cr_assert_str_eq(e.text, "--state \"stoped\" is unknown; did you mean \"stopped\"?");
	cr_assert_lt(value_check("--state", value_kind("STATE", 5), "xyzzy", &e), 0);
	cr_assert_str_eq(e.text, "--state \"xyzzy\" is none of created, starting, running, "
				 "stopping, stopped, failed, deleting, gone");
	cr_assert_eq(value_check("--name", value_kind("NAME", 4), "xyzzy", &e), 0);
}

/* The command line cannot include vmm/, so it repeats the names. */
Test(values, every_vmm_is_one_that_the_daemon_has)
{
	const char *const *w = value_kind("VMM", 3)->words;

	cr_assert_not_null(w);
	for (; *w; w++)
		cr_assert_not_null(vmm_find(*w), "%s", *w);
}
