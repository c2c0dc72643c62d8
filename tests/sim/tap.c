#include "tests/sim/tap.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/world.h"

enum {
	LOG_TAIL = 60, /* lines of the daemon's that are told after a crash */
};

static const char *(*last_words)(void);

static void speak(void)
{
	if (last_words)
		fprintf(stderr, "# %s\n", last_words());
	const char *lines = getenv("SIM_LOG");

	if (the_world)
		world_print_log(the_world,
				lines ? (uint32_t)strtoul(lines, NULL, 10) : (uint32_t)LOG_TAIL);
	fflush(stderr);
}

static void aborted(int signo)
{
	speak();
	IGNORE(raise(signo) != 0);
}

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_death_callback(void (*fn)(void));
#endif

void tap_last_words(const char *(*words)(void))
{
	const struct sigaction abrt = { .sa_handler = aborted, .sa_flags = (int)SA_RESETHAND };

	last_words = words;
	IGNORE(sigaction(SIGABRT, &abrt, NULL) < 0);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_set_death_callback(speak);
#endif
}

static bool chosen(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

static bool run(size_t i, tap_case_fn *fn)
{
	int status = 0;

	fflush(stdout);
	const pid_t pid = fork();
	if (pid == 0) {
		const bool good = fn(i);

		exit(good ? 0 : 1); /* NOLINT(concurrency-mt-unsafe): one thread */
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int tap_main(int argc, char **argv, size_t n, tap_name_fn *name, tap_case_fn *fn)
{
	size_t count = 0;
	size_t bad = 0;

	for (size_t i = 0; i < n; i++)
		count += chosen(argc, argv, name(i));
	printf("1..%zu\n", count);
	count = 0;
	for (size_t i = 0; i < n; i++) {
		if (!chosen(argc, argv, name(i)))
			continue;
		const bool good = run(i, fn);

		bad += !good;
		printf("%sok %zu - %s\n", good ? "" : "not ", ++count, name(i));
	}
	return bad > 0;
}
