/* fake_firecracker.c - a Firecracker for a jail: static, alone, without KVM.
 *
 *   firecracker --version
 *   firecracker --id ID --api-sock PATH --config-file PATH --log-path PATH ... [-- WORD]
 *
 * What tests/lib/fake_firecracker.py is outside of a jail, as far as tests/e2e/jailed.py looks,
 * which asks the same of the real one.  It opens what its configuration names, listens on its API's
 * socket and on its vsock's, and says on its output that a probe is up.  Its guest's agent is
 * whoever listens at "VSOCK.guest_PORT"; that one makes its rings itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VERSION  "1.16.1"
#define OK_WORDS "OK 1073741824\n"

enum {
	CONFIG_MAX = 16384,
	REQUEST_MAX = 4096,
	LINE_MAX_BYTES = 64,
	PAIRS_MAX = 8,
	BACKLOG = 16,
	PATH_BYTES = 108,
};

struct fake {
	const char *log;
	char config[CONFIG_MAX];
	char vsock[PATH_BYTES];
	bool paused;
	int api, calls; /* listening */
	int client;     /* of the API, one at a time */
	struct pair {
		int host, guest;
	} pairs[PAIRS_MAX];
};

/* ---- its end ---- */

static _Noreturn void fail(const struct fake *f, const char *why, const char *what)
{
	const int fd = open(f->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)dprintf(
			fd,
			"2026-01-01T00:00:00.000000000 [x:main] RunWithApiError error: %s: %s %s\n",
			why, strerrordesc_np(errno), what);
	_exit(1);
}

/* ---- its words and its file ---- */

static const char *option(char **argv, const char *name)
{
	for (char **at = argv + 1; *at && strcmp(*at, "--") != 0; at++)
		if (strcmp(*at, name) == 0 && at[1])
			return at[1];
	return "";
}

/* Each word once, and none that it does not know: its own message for what tests have seen. */
static void words_check(char **argv)
{
	static const char *const known[] = {
		"--id",    "--api-sock",      "--config-file",       "--log-path",
		"--level", "--start-time-us", "--start-time-cpu-us", "--parent-cpu-time-us"
	};
	bool seen[sizeof(known) / sizeof(known[0])] = { false };

	for (char **at = argv + 1; *at && strcmp(*at, "--") != 0; at += at[1] ? 2 : 1) {
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && strcmp(*at, known[i]) != 0)
			i++;
		if (i < sizeof(known) / sizeof(known[0]) && !seen[i]) {
			seen[i] = true;
			continue;
		}
		(void)fprintf(stderr, "Error: ParseArguments(%s(\"%s\"))\n",
			      i < sizeof(known) / sizeof(known[0]) ? "DuplicateArgument"
								   : "UnexpectedArgument",
			      *at + strspn(*at, "-"));
		_exit(153);
	}
}

/* The value after "key":" of the file, which has no escapes; false: there is none (any more). */
static bool value_next(const char **at, const char *key, char out[PATH_BYTES])
{
	const char *found = strstr(*at, key);

	if (!found)
		return false;
	found += strlen(key);
	(void)snprintf(out, PATH_BYTES, "%.*s", (int)strcspn(found, "\""), found);
	*at = found;
	return true;
}

static void config_read(struct fake *f, const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, f->config, sizeof(f->config) - 1);

	if (n < 0)
		fail(f, "Configuration file", path);
	close(fd);
}

static void must_open(const struct fake *f, const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		fail(f, "Failed to build MicroVM from Json", path);
	close(fd);
}

static void parts_open(const struct fake *f)
{
	const char *at = f->config;
	char path[PATH_BYTES];

	if (value_next(&at, "\"kernel_image_path\":\"", path))
		must_open(f, path, O_RDONLY);
	at = f->config;
	if (value_next(&at, "\"initrd_path\":\"", path))
		must_open(f, path, O_RDONLY);
	for (at = f->config; value_next(&at, "\"path_on_host\":\"", path);)
		must_open(f, path,
			  strncmp(strstr(at, "\"is_read_only\":"), "\"is_read_only\":true", 19) == 0
				  ? O_RDONLY
				  : O_RDWR);
}

/* ---- sockets ---- */

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.107s", path);
	return a;
}

static int listen_at(const struct fake *f, const char *path)
{
	const struct sockaddr_un a = address_of(path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		fail(f, "Failed to open the API socket", path);
	return fd;
}

static int guest_connect(const struct fake *f, long port)
{
	char path[PATH_BYTES + 32];
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(path, sizeof(path), "%s.guest_%ld", f->vsock, port);
	const struct sockaddr_un a = address_of(path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* "CONNECT PORT\n" */
static long port_asked(int fd)
{
	char line[LINE_MAX_BYTES];
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n++] != '\n') {
	}
	line[n] = '\0';
	return strncmp(line, "CONNECT ", 8) == 0 ? strtol(line + 8, NULL, 10) : -1;
}

static void call_take(struct fake *f)
{
	const int host = accept4(f->calls, NULL, NULL, SOCK_CLOEXEC);
	const long port = host < 0 ? -1 : port_asked(host);
	const int guest = port < 0 ? -1 : guest_connect(f, port);

	for (int i = 0; guest >= 0 && i < PAIRS_MAX; i++)
		if (f->pairs[i].host < 0 && write(host, OK_WORDS, strlen(OK_WORDS)) > 0) {
			f->pairs[i] = (struct pair){ host, guest };
			return;
		}
	close(host);
	close(guest);
}

static void relay(struct pair *p, bool from_host)
{
	char bytes[REQUEST_MAX];
	const ssize_t n = read(from_host ? p->host : p->guest, bytes, sizeof(bytes));

	if (n > 0 && write(from_host ? p->guest : p->host, bytes, (size_t)n) == n)
		return;
	close(p->host);
	close(p->guest);
	*p = (struct pair){ -1, -1 };
}

/* ---- the API ---- */

static void api_serve(struct fake *f)
{
	char request[REQUEST_MAX];
	const ssize_t n = read(f->client, request, sizeof(request) - 1);
	char body[LINE_MAX_BYTES] = "";

	if (n <= 0) {
		close(f->client);
		f->client = -1;
		return;
	}
	request[n] = '\0';
	if (strncmp(request, "PATCH /vm ", 10) == 0)
		f->paused = strstr(request, "\"Paused\"") != NULL;
	if (strncmp(request, "GET / ", 6) == 0)
		(void)snprintf(body, sizeof(body), "{\"state\":\"%s\"}",
			       f->paused ? "Paused" : "Running");
	(void)dprintf(f->client, "HTTP/1.1 %s \r\nContent-Length: %zu\r\n\r\n%s",
		      body[0] ? "200" : "204", strlen(body), body);
}

/* ---- its life ---- */

static void turn(struct fake *f)
{
	struct pollfd p[3 + 2 * PAIRS_MAX] = { { .fd = f->client < 0 ? f->api : -1,
						 .events = POLLIN },
					       { .fd = f->client, .events = POLLIN },
					       { .fd = f->calls, .events = POLLIN } };

	for (int i = 0; i < PAIRS_MAX; i++) {
		p[3 + 2 * i] = (struct pollfd){ .fd = f->pairs[i].host, .events = POLLIN };
		p[4 + 2 * i] = (struct pollfd){ .fd = f->pairs[i].guest, .events = POLLIN };
	}
	if (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0)
		return;
	if (p[0].revents)
		f->client = accept4(f->api, NULL, NULL, SOCK_CLOEXEC);
	if (p[1].revents)
		api_serve(f);
	if (p[2].revents)
		call_take(f);
	for (int i = 0; i < 2 * PAIRS_MAX; i++)
		if (p[3 + i].revents && f->pairs[i / 2].host >= 0)
			relay(&f->pairs[i / 2], i % 2 == 0);
}

int main(int argc, char **argv)
{
	static struct fake f = { .api = -1, .calls = -1, .client = -1 };
	const char *at = f.config;

	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return puts("Firecracker v" VERSION "\n") < 0;
	for (int i = 0; i < PAIRS_MAX; i++)
		f.pairs[i] = (struct pair){ -1, -1 };
	words_check(argv);
	f.log = option(argv, "--log-path");
	f.api = listen_at(&f, option(argv, "--api-sock"));
	config_read(&f, option(argv, "--config-file"));
	parts_open(&f);
	if (value_next(&at, "\"uds_path\":\"", f.vsock))
		f.calls = listen_at(&f, f.vsock);
	else if (write(STDOUT_FILENO, "banger-probe: up\r\n", 18) < 0)
		return EXIT_FAILURE;
	for (;;)
		turn(&f);
}
