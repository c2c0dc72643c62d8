/* test_paths.c - where a session keeps its things, and what it refuses to use. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/paths.h"

static char top[] = "/tmp/banger-paths-XXXXXX";

static void setup(void)
{
	cr_assert_not_null(mkdtemp(top));
	unsetenv("BANGER_RUNTIME_DIR");
	unsetenv("BANGER_STATE_DIR");
	unsetenv("BANGER_CACHE_DIR");
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	setenv("XDG_STATE_HOME", "/x/state", 1);
	setenv("XDG_CACHE_HOME", "/x/cache", 1);
	setenv("HOME", "/home/ann", 1);
}

static void teardown(void)
{
	char cmd[256];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(paths, .init = setup, .fini = teardown);

static const char *below(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

Test(paths, follow_xdg)
{
	struct paths p;

	cr_assert_eq(paths_find(false, &p, NULL), 0);
	cr_assert_str_eq(p.runtime, "/run/user/7/banger");
	cr_assert_str_eq(p.state, "/x/state/banger");
	cr_assert_str_eq(p.cache, "/x/cache/banger");
	cr_assert_str_eq(p.socket, "/run/user/7/banger/bangerd.sock");
	cr_assert_str_eq(p.log, "/x/state/banger/bangerd.log");
}

Test(paths, fall_back_to_home_and_tmp_when_xdg_is_unset_or_relative)
{
	struct paths p;
	char want[64];

	unsetenv("XDG_RUNTIME_DIR");
	setenv("XDG_STATE_HOME", "relative", 1);
	unsetenv("XDG_CACHE_HOME");
	cr_assert_eq(paths_find(false, &p, NULL), 0);
	(void)snprintf(want, sizeof(want), "/tmp/banger-runtime-%u", geteuid());
	cr_assert_str_eq(p.runtime, want);
	cr_assert_str_eq(p.state, "/home/ann/.local/state/banger");
	cr_assert_str_eq(p.cache, "/home/ann/.cache/banger");
}

Test(paths, obey_our_own_variables_first)
{
	struct paths p;

	setenv("BANGER_RUNTIME_DIR", "/r", 1);
	setenv("BANGER_STATE_DIR", "/s", 1);
	setenv("BANGER_CACHE_DIR", "/c", 1);
	cr_assert_eq(paths_find(false, &p, NULL), 0);
	cr_assert_str_eq(p.runtime, "/r");
	cr_assert_str_eq(p.log, "/s/bangerd.log");
	cr_assert_str_eq(p.cache, "/c");
}

Test(paths, the_systems_are_fixed_but_for_our_own_variables)
{
	struct paths p;

	cr_assert_eq(paths_find(true, &p, NULL), 0);
	cr_assert_str_eq(p.runtime, "/run/banger");
	cr_assert_str_eq(p.state, "/var/lib/banger");
	cr_assert_str_eq(p.cache, "/var/cache/banger");
	cr_assert_str_eq(p.socket, "/run/banger/bangerd.sock");
	setenv("BANGER_RUNTIME_DIR", "/r", 1);
	cr_assert_eq(paths_find(true, &p, NULL), 0);
	cr_assert_str_eq(p.socket, "/r/bangerd.sock");
	cr_assert_str_eq(p.state, "/var/lib/banger");
}

Test(paths, refuse_a_relative_override_by_name)
{
	struct paths p;
	struct err e = { 0 };

	setenv("BANGER_STATE_DIR", "here", 1);
	cr_assert_lt(paths_find(false, &p, &e), 0);
	cr_assert_not_null(strstr(e.text, "BANGER_STATE_DIR=here"), "%s", e.text);
}

Test(paths, refuse_a_socket_path_that_no_socket_can_have)
{
	struct paths p;
	struct err e = { 0 };
	char longest[PATHS_SOCKET_MAX + 2];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("BANGER_RUNTIME_DIR", longest, 1);
	cr_assert_eq(paths_find(false, &p, &e), -ENAMETOOLONG);
}

Test(paths, ensure_dir_makes_it_and_its_parents_private)
{
	struct stat st;

	cr_assert_eq(paths_ensure_dir(below("a/b/c"), NULL), 0);
	cr_assert_eq(stat(below("a/b/c"), &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	cr_assert_eq(stat(below("a"), &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	cr_assert_eq(paths_ensure_dir(below("a/b/c"), NULL), 0, "twice is fine");
}

Test(paths, ensure_dir_refuses_what_others_may_enter)
{
	struct err e = { 0 };

	cr_assert_eq(mkdir(below("open"), 0700), 0);
	cr_assert_eq(chmod(below("open"), 0750), 0);
	cr_assert_eq(paths_ensure_dir(below("open"), &e), -EPERM);
	cr_assert_not_null(strstr(e.text, "/open"), "%s", e.text);
	cr_assert_not_null(strstr(e.text, "0750"), "%s", e.text);
}

Test(paths, ensure_dir_refuses_a_symbolic_link)
{
	cr_assert_eq(symlink("/tmp", below("link")), 0);
	cr_assert_lt(paths_ensure_dir(below("link"), NULL), 0);
}

Test(paths, ensure_dir_refuses_a_directory_of_someone_else)
{
	struct err e = { 0 };

	if (geteuid() != 0)
		cr_skip_test("only root can give a directory away");
	cr_assert_eq(mkdir(below("theirs"), 0700), 0);
	cr_assert_eq(chown(below("theirs"), 12345, 12345), 0);
	cr_assert_eq(paths_ensure_dir(below("theirs"), &e), -EPERM);
	cr_assert_not_null(strstr(e.text, "12345"), "%s", e.text);
}
