/* test_conf.c - settings: the table, files with everything that may be wrong in them, precedence.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "vmm/vmm.h"

/* Too large for the stack; each test is a process of its own. */
static struct conf conf;
static struct conf_problems problems;

static void read_text(const char *text)
{
	conf_init(&conf, "/libexec");
	problems = (struct conf_problems){ 0 };
	conf_read_text(&conf, "x.conf", text, strlen(text), &problems);
}

static void expect_problem(uint32_t i, const char *where, bool fatal, const char *text)
{
	cr_assert_lt(i, problems.n, "only %u problems, want %s", problems.n, text);
	cr_assert_str_eq(problems.v[i].where, where);
	cr_assert_str_eq(problems.v[i].text, text);
	cr_assert_eq(problems.v[i].fatal, fatal, "%s", text);
}

static const char *text_of(enum conf_key key)
{
	static char text[CONF_TEXT_MAX];

	conf_text(&conf, key, text);
	return text;
}

Test(conf, every_row_is_whole_and_its_default_can_be_read_back)
{
	char key[CONF_KEY_MAX];
	struct err e = { 0 };

	conf_init(&conf, "/libexec");
	for (int i = 0; i < CONF_NKEYS; i++) {
		const struct conf_row *row = &conf_rows[i];

		conf_key_name((enum conf_key)i, key);
		cr_assert_not_null(row->name, "row %d", i);
		cr_assert(row->doc && row->env && row->fallback, "%s", key);
		cr_assert_eq(strncmp(row->env, "BANGER_", 7), 0, "%s", row->env);
		cr_assert_eq(conf_set(&conf, (enum conf_key)i, text_of((enum conf_key)i), &e), 0,
			     "%s", e.text);
		for (int j = 0; j < i; j++)
			cr_assert_str_neq(row->env, conf_rows[j].env, "%s", key);
	}
}

Test(conf, words_are_those_that_the_daemon_knows)
{
	for (int i = 1; conf_vmms[i]; i++)
		cr_assert_not_null(vmm_find(conf_vmms[i]), "%s", conf_vmms[i]);
	cr_assert_str_eq(conf_vmms[0], "auto");
	cr_assert_str_eq(conf_log_levels[LOG_LEVEL_ERR - LOG_LEVEL_ERR], "err");
	cr_assert_str_eq(conf_log_levels[LOG_LEVEL_DEBUG - LOG_LEVEL_ERR], "debug");
	cr_assert_null(conf_log_levels[LOG_LEVEL_DEBUG - LOG_LEVEL_ERR + 1]);
}

Test(conf, defaults_fit_the_host)
{
	conf_init(&conf, "/libexec");
	cr_assert_geq(conf.cpus, 1);
	cr_assert_geq(conf.vcpu, 1);
	cr_assert_leq(conf.vcpu, 4);
	cr_assert_leq(conf.memory_bytes, UINT64_C(8) << 30);
	cr_assert_eq(conf.starts_max, conf.cpus * 2);
	cr_assert_eq(conf.origins[CONF_VCPU].source, CONF_HOST);
	cr_assert_eq(conf.origins[CONF_DISK].source, CONF_BUILT_IN);
	cr_assert_eq(conf.disk_bytes, UINT64_C(8) << 30);
}

Test(conf, a_file_sets_values_and_says_where)
{
	char where[64];

	read_text("# a comment\n"
		  "[defaults]\n"
		  "vcpu = 3 ; why not\n"
		  "  memory=512M\n"
		  "\timage = debian:bookworm\n"
		  "\n"
		  "[limits]\n"
		  "starts_max: 7\n"
		  "[timeouts]\n"
		  "stop = 1m30s\n"
		  "[vmm]\n"
		  "accel = kvm\n"
		  "[log]\r\n"
		  "level = debug\r\n");
	cr_assert_eq(problems.n, 0, "%s", problems.v[0].text);
	cr_assert_eq(conf.vcpu, 3);
	cr_assert_eq(conf.memory_bytes, UINT64_C(512) << 20);
	cr_assert_str_eq(conf.image, "debian:bookworm");
	cr_assert_eq(conf.starts_max, 7);
	cr_assert_eq(conf.stop_ms, 90000);
	cr_assert_str_eq(text_of(CONF_STOP), "90s");
	cr_assert_str_eq(conf.accel, "kvm");
	cr_assert_str_eq(conf.log_level, "debug");
	conf_where(&conf, CONF_MEMORY, where, sizeof(where));
	cr_assert_str_eq(where, "x.conf:4");
}

Test(conf, auto_and_nothing_take_a_value_back)
{
	read_text("[vmm]\naccel = auto\n[defaults]\nimage =\nvmm = auto\n");
	cr_assert_eq(problems.n, 0, "%s", problems.v[0].text);
	cr_assert_str_eq(conf.accel, "");
	cr_assert_str_eq(conf.image, "");
	cr_assert_str_eq(conf.vmm, "");
}

Test(conf, what_is_unknown_is_named_with_line_and_the_nearest_word)
{
	read_text(
		"[defaults]\nvcpus = 2\nboot = 3m\nxyzzy = 1\n[default]\nvcpu = 1\nmemory = 1G\n");
	expect_problem(0, "x.conf:2", false,
		       "unknown key \"vcpus\" in [defaults]; did you mean \"vcpu\"?");
	expect_problem(1, "x.conf:3", false,
		       "unknown key \"boot\" in [defaults]; it belongs to [timeouts]");
	expect_problem(2, "x.conf:4", false, "unknown key \"xyzzy\" in [defaults]");
	expect_problem(3, "x.conf:6", false, "unknown section [default]; did you mean [defaults]?");
	cr_assert_eq(problems.n, 4, "an unknown section is told once");
	cr_assert_eq(problems.fatal, 0);
}

Test(conf, a_bad_value_is_fatal_and_leaves_the_old_one)
{
	read_text("[defaults]\nvcpu = many\nmemory = 1X\nvcpu = 65\n[vmm]\naccel = kmv\n"
		  "[timeouts]\nboot = soon\n[paths]\nqemu = bin/qemu\n[defaults]\nimage = -x\n");
	expect_problem(0, "x.conf:2", true, "defaults.vcpu \"many\" is not a number from 1 to 64");
	expect_problem(1, "x.conf:3", true, "defaults.memory: \"1X\" has the unknown suffix \"X\"");
	expect_problem(2, "x.conf:4", false, "\"vcpu\" was given in line 2; this line counts");
	expect_problem(3, "x.conf:4", true, "defaults.vcpu \"65\" is not a number from 1 to 64");
	expect_problem(4, "x.conf:6", true, "vmm.accel \"kmv\" is unknown; did you mean \"kvm\"?");
	expect_problem(5, "x.conf:8", true,
		       "timeouts.boot \"soon\" is not a duration such as 500ms, 10s, 2m or 1h");
	expect_problem(6, "x.conf:10", true, "paths.qemu \"bin/qemu\" is not an absolute path");
	expect_problem(7, "x.conf:12", true, "defaults.image name \"-x\": begins with '-'");
	cr_assert_eq(problems.n, 8);
	cr_assert_eq(problems.fatal, 7);
	cr_assert_eq(conf.origins[CONF_VCPU].source, CONF_HOST);
}

Test(conf, lines_that_are_no_settings_are_told)
{
	static const char nul[] = "[defaults]\nvc\0pu = 2\n";
	char line[400];

	read_text("vcpu = 2\n");
	expect_problem(0, "x.conf:1", false, "\"vcpu\" comes before any [section]");
	read_text("[defaults]\nvcpu 2\n");
	expect_problem(0, "x.conf:2", true, "neither \"[section]\" nor \"key = value\"");
	read_text("[defaults\n");
	expect_problem(0, "x.conf:1", true, "neither \"[section]\" nor \"key = value\"");
	(void)snprintf(line, sizeof(line), "[defaults]\nimage = %0300d\n", 1);
	read_text(line);
	expect_problem(0, "x.conf:2", true, "longer than 198 bytes");
	problems = (struct conf_problems){ 0 };
	conf_init(&conf, "/libexec");
	conf_read_text(&conf, "x.conf", nul, sizeof(nul) - 1, &problems);
	expect_problem(0, "x.conf:2", true, "a NUL byte");
}

Test(conf, problems_beyond_the_bound_are_counted)
{
	static char text[64 * CONF_PROBLEMS_MAX];
	size_t len = (size_t)snprintf(text, sizeof(text), "[defaults]\n");

	for (int i = 0; i < CONF_PROBLEMS_MAX + 5; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "xyzzy = %d\n", i);
	read_text(text);
	cr_assert_eq(problems.n, CONF_PROBLEMS_MAX);
	cr_assert_eq(problems.more, 5);
}

/* ---- files ---- */

static char dir[] = "/tmp/banger-conf-XXXXXX";
static char path[64];

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/banger.conf", dir);
	cr_assert_eq(setenv("BANGER_CONFIG_DIR", dir, 1), 0);
}

static void drop_dir(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

static void write_file(const char *text, mode_t mode)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static int load(const char *file, struct err *e)
{
	const struct conf_input in = { .file = file, .libexec = "/libexec", .environment = true };

	return conf_load(&conf, &in, &problems, e);
}

Test(conf_load, environment_beats_file_beats_host, .init = make_dir, .fini = drop_dir)
{
	char where[CONF_PATH_MAX];
	struct err e = { 0 };

	write_file("[defaults]\nvcpu = 3\nmemory = 1G\n", 0644);
	cr_assert_eq(setenv("BANGER_MEMORY", "2G", 1), 0);
	cr_assert_eq(load(NULL, &e), 0, "%s", e.text);
	cr_assert_eq(conf.vcpu, 3);
	cr_assert_eq(conf.memory_bytes, UINT64_C(2) << 30);
	cr_assert_eq(conf.origins[CONF_VCPU].source, CONF_FROM_FILE);
	cr_assert_eq(conf.origins[CONF_MEMORY].source, CONF_FROM_ENVIRONMENT);
	conf_where(&conf, CONF_MEMORY, where, sizeof(where));
	cr_assert_str_eq(where, "BANGER_MEMORY");
	cr_assert_eq(conf.nfiles, 1);
	cr_assert_str_eq(conf.files[0], path);
	cr_assert_eq(setenv("BANGER_MEMORY", "a lot", 1), 0);
	cr_assert_eq(load(NULL, &e), -EINVAL);
	cr_assert_eq(e.code, ERR_CONFIG_BAD);
	cr_assert_str_eq(e.text, "BANGER_MEMORY: defaults.memory: \"a lot\" is not a number");
}

Test(conf_load, a_file_that_is_not_there_matters_only_when_it_was_said, .init = make_dir,
     .fini = drop_dir)
{
	struct err e = { 0 };

	cr_assert_eq(load(NULL, &e), 0);
	cr_assert_eq(conf.nfiles, 0);
	cr_assert_lt(load(path, &e), 0);
	cr_assert_not_null(strstr(e.text, "No such file"), "%s", e.text);
	cr_assert_eq(setenv("BANGER_CONFIG", "relative.conf", 1), 0);
	cr_assert_lt(load(NULL, &e), 0);
	cr_assert_not_null(strstr(e.text, "not an absolute path"), "%s", e.text);
	write_file("[defaults]\nvcpu = 2\n", 0600);
	cr_assert_eq(setenv("BANGER_CONFIG", path, 1), 0);
	cr_assert_eq(load(NULL, &e), 0);
	cr_assert_eq(conf.nfiles, 1);
}

Test(conf_load, a_file_that_others_can_write_is_refused, .init = make_dir, .fini = drop_dir)
{
	struct err e = { 0 };

	write_file("[defaults]\nvcpu = 2\n", 0666);
	cr_assert_lt(load(NULL, &e), 0);
	cr_assert_not_null(strstr(e.text, "can be written by everybody (mode 0666)"), "%s", e.text);
	cr_assert_lt(load(dir, &e), 0);
	cr_assert_not_null(strstr(e.text, "is not a file"), "%s", e.text);
	if (geteuid() != 0)
		return;
	write_file("[defaults]\nvcpu = 2\n", 0600);
	cr_assert_eq(chown(path, 12345, 12345), 0);
	cr_assert_lt(load(NULL, &e), 0);
	cr_assert_not_null(strstr(e.text, "belongs to uid 12345"), "%s", e.text);
}
