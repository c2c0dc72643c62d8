#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	REQUEST_MAX = 128,
	STATUS_LEAST = 100,
	STATUS_MOST = 599,
};

static int64_t clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void begin(struct http_probe *p)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)p->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	*p = (struct http_probe){ .port = p->port };
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd >= 0 && connect(p->fd, (const struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS)
		close_fd(&p->fd);
}

/* False once it has failed. */
static bool ask(struct http_probe *p)
{
	char request[REQUEST_MAX];
	const int len = snprintf(request, sizeof(request),
				 "GET / HTTP/1.0\r\nHost: 127.0.0.1:%u\r\nUser-Agent: banger\r\n"
				 "Accept: */*\r\n\r\n",
				 p->port);
	const ssize_t n = send(p->fd, request + p->sent, (size_t)len - p->sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	p->sent += (uint32_t)n;
	p->asked = p->sent == (uint32_t)len;
	return true;
}

/* False once the answer is there, or cannot come any more. */
static bool hear(struct http_probe *p)
{
	unsigned status;
	const ssize_t n = recv(p->fd, p->answer + p->got, sizeof(p->answer) - 1 - p->got, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	p->got += (uint32_t)n;
	p->answer[p->got] = '\0';
	if (n > 0 && p->got < sizeof(p->answer) - 1)
		return true;
	if (sscanf(p->answer, "HTTP/1.%*1u %3u", &status) == 1 && status >= STATUS_LEAST &&
	    status <= STATUS_MOST)
		p->status = status;
	return false;
}

static void turn(struct http_probe *p)
{
	const bool more = p->asked ? hear(p) : ask(p);
	if (!more)
		close_fd(&p->fd);
}

static void ask_some(struct http_probe *probes, uint32_t n, uint32_t deadline_ms)
{
	const int64_t until_ms = clock_ms() + deadline_ms;
	struct pollfd fds[HTTP_AT_ONCE];
	int64_t left_ms = deadline_ms;
	bool waiting = true;

	for (uint32_t i = 0; i < n; i++)
		begin(&probes[i]);
	while (waiting && left_ms > 0) {
		waiting = false;
		for (uint32_t i = 0; i < n; i++) {
			fds[i] = (struct pollfd){ .fd = probes[i].fd,
						  .events = probes[i].asked ? POLLIN : POLLOUT };
			waiting = waiting || probes[i].fd >= 0;
		}
		if (waiting && poll(fds, n, (int)left_ms) > 0)
			for (uint32_t i = 0; i < n; i++)
				if (fds[i].revents)
					turn(&probes[i]);
		left_ms = until_ms - clock_ms();
	}
	for (uint32_t i = 0; i < n; i++)
		close_fd(&probes[i].fd);
}

void http_ask(struct http_probe *probes, uint32_t n, uint32_t deadline_ms)
{
	for (uint32_t i = 0; i < n; i += HTTP_AT_ONCE)
		ask_some(probes + i, n - i < HTTP_AT_ONCE ? n - i : HTTP_AT_ONCE, deadline_ms);
}
