/* supervisor.c
 *
 * #syscalls(supervisor) poll read clock_gettime? sendto
 *
 * What it sends is for the service manager (base/notify.h).  The clock is read in user space, but
 * not where the kernel has no fast one: in many a VM.
 */
#include "helper/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "helper/crew.h"
#include "helper/filter.h"
#include "helper/peer.h"

enum {
	POLL_SIGNAL,
	POLL_LISTENER,
	POLL_ZYGOTE,
	POLL_PEERS,
	POLL_MEMBERS = POLL_PEERS + PEERS_MAX,
	POLL_NFDS = POLL_MEMBERS + WORKER_NWORKERS,
};

struct supervisor {
	const struct helper_conf *conf;
	const struct notify *notify;
	int listener; /* borrowed; -EBADF once we are stopping */
	int signals;  /* owned */
	bool stopping;
	uint64_t watchdog_us; /* when to give the next sign of life */
	struct zygote zygote;
	struct peers peers;
	struct crew crew;
};

static const struct log_ctx log_ctx = { .actor = "helper" };

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- frames ---- */

static int hello(struct peer *p, const struct wire *w, struct err *e)
{
	uint32_t version;

	if (p->greeted)
		return err_set(e, ERR_BAD_FRAME, "hello: comes once");
	p->greeted = true;
	return wire_version_agree(w, &version, e);
}

/* 1: the slot is at a worker; 0: done with it; -errno: the connection ends. */
static int request(struct supervisor *sv, struct slot *s, const struct wire *w, struct err *e)
{
	if (!s->peer->greeted)
		return err_set(e, ERR_BAD_FRAME, "the first frame must be a hello");
	s->id = w->id;
	s->op_id = w->op_id;
	if (op_id_is_zero(&w->op_id)) {
		(void)err_set(e, ERR_BAD_REQUEST, "op_id: missing");
		slot_refuse(s, e);
		return 1;
	}
	if (helper_method_find(w->name, &s->method) < 0) {
		(void)err_set(e, ERR_UNKNOWN_METHOD, "\"%s\": no such operation of the root helper",
			      w->name);
		slot_refuse(s, e);
		return 1;
	}
	crew_take(&sv->crew, s, now_us());
	return 1;
}

static int frame(struct supervisor *sv, struct slot *s, struct err *e)
{
	struct wire w = { .type = WIRE_CANCEL };
	int rc = frame_check(slot_payload(s), slot_payload_len(s), e);

	if (rc == 0)
		rc = wire_decode(slot_payload(s), slot_payload_len(s), &w, e);
	if (rc < 0)
		return rc;
	if (w.type == WIRE_REQUEST)
		return request(sv, s, &w, e);
	if (w.type == WIRE_HELLO)
		return hello(s->peer, &w, e);
	if (w.type == WIRE_CANCEL)
		return 0; /* an operation runs to its end */
	return err_set(e, ERR_BAD_FRAME, "\"%s\" is not spoken here", wire_schemas[w.type].name);
}

static void peer_frames(struct supervisor *sv, struct peer *p)
{
	struct slot *s;

	while ((s = peer_read(p)) != NULL) {
		struct err e = { 0 };
		const int rc = frame(sv, s, &e);

		if (rc == 0)
			slot_free(s);
		if (rc < 0)
			peer_bad_frame(p, s, &e);
	}
}

/* ---- signals and time ---- */

static int signals_open(struct supervisor *sv, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sv->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return sv->signals < 0 ? err_sys(e, ERR_HOST_FILES, "signalfd") : 0;
}

static void stop(struct supervisor *sv)
{
	struct signalfd_siginfo si;

	if (read(sv->signals, &si, sizeof(si)) != (ssize_t)sizeof(si) || sv->stopping)
		return;
	LOG_INFO(&log_ctx, NULL, "stop", K("signal", si.ssi_signo));
	notify_say(sv->notify, "STOPPING=1");
	sv->stopping = true;
	sv->listener = -EBADF;
	for (int i = 0; i < PEERS_MAX; i++)
		peer_close_when_told(&sv->peers.all[i]);
}

static bool may_end(struct supervisor *sv)
{
	struct err why = { 0 };
	bool told = true;

	(void)err_set(&why, ERR_DAEMON_STOPPING, "the root helper is stopping; nothing was begun");
	const bool idle = crew_drain(&sv->crew, &why);
	for (int i = 0; i < PEERS_MAX; i++)
		told = told && sv->peers.all[i].fd < 0;
	return idle && told;
}

static int timeout_ms(const struct supervisor *sv)
{
	const uint64_t now = now_us();
	uint64_t at = crew_next_us(&sv->crew);

	if (sv->notify->watchdog_us && sv->watchdog_us < at)
		at = sv->watchdog_us;
	if (at == UINT64_MAX)
		return -1;
	return at <= now ? 0 : (int)((at - now) / 1000 + 1);
}

static void tick(struct supervisor *sv)
{
	const uint64_t now = now_us();

	crew_tick(&sv->crew, now);
	if (sv->notify->watchdog_us && now >= sv->watchdog_us) {
		notify_say(sv->notify, "WATCHDOG=1");
		sv->watchdog_us = now + sv->notify->watchdog_us / 2;
	}
}

/* ---- the loop ---- */

static void fill(const struct supervisor *sv, struct pollfd fds[POLL_NFDS])
{
	fds[POLL_SIGNAL] = (struct pollfd){ .fd = sv->signals, .events = POLLIN };
	fds[POLL_LISTENER] = (struct pollfd){ .fd = sv->listener, .events = POLLIN };
	fds[POLL_ZYGOTE] = (struct pollfd){ .fd = sv->zygote.link, .events = POLLIN };
	for (int i = 0; i < PEERS_MAX; i++)
		fds[POLL_PEERS + i] = (struct pollfd){ .fd = sv->peers.all[i].fd,
						       .events = peer_events(&sv->peers.all[i]) };
	for (int i = 0; i < WORKER_NWORKERS; i++)
		fds[POLL_MEMBERS + i] = (struct pollfd){ .fd = sv->crew.members[i].link,
							 .events = POLLIN };
}

static void peer_turn(struct supervisor *sv, struct peer *p, short events)
{
	if ((events & POLLOUT) != 0)
		peer_write(p);
	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
		peer_frames(sv, p);
	if ((events & (POLLHUP | POLLERR)) != 0)
		peer_hangup(p);
}

static int turn(struct supervisor *sv, struct err *e)
{
	struct pollfd fds[POLL_NFDS];

	fill(sv, fds);
	if (poll(fds, POLL_NFDS, timeout_ms(sv)) < 0 && errno != EINTR)
		return err_sys(e, ERR_INTERNAL, "poll");
	if (fds[POLL_ZYGOTE].revents) /* it speaks when asked only: this is its end */
		return err_set(e, ERR_HELPER_WORKER, "the zygote is gone, and with it successors");
	if (fds[POLL_SIGNAL].revents)
		stop(sv);
	for (int i = 0; i < WORKER_NWORKERS; i++)
		if (fds[POLL_MEMBERS + i].revents)
			crew_readable(&sv->crew, &sv->crew.members[i], now_us());
	for (int i = 0; i < PEERS_MAX; i++)
		if (fds[POLL_PEERS + i].revents)
			peer_turn(sv, &sv->peers.all[i], fds[POLL_PEERS + i].revents);
	if (fds[POLL_LISTENER].revents && sv->listener >= 0)
		while (peers_accept(&sv->peers, sv->listener, sv->conf) == 0) {
		}
	tick(sv);
	return 0;
}

int supervisor_run(const struct helper_conf *conf, int listener, const struct notify *notify,
		   struct err *e)
{
	static struct supervisor sv; /* megabytes, most of them never touched */
	int rc;

	sv.conf = conf;
	sv.notify = notify;
	sv.listener = listener;
	sv.zygote = (struct zygote){ .link = -EBADF };
	peers_init(&sv.peers);
	rc = signals_open(&sv, e);
	if (rc == 0)
		rc = zygote_open(&sv.zygote, conf, e);
	if (rc == 0)
		rc = crew_open(&sv.crew, &sv.zygote, e);
	if (rc < 0) {
		zygote_close(&sv.zygote);
		close_fd(&sv.signals);
		return rc;
	}
	rc = filter_confine(FILTER_SUPERVISOR, e);
	if (rc == 0) {
		LOG_INFO(&log_ctx, NULL, "ready", K("bridges", conf->nbridges));
		notify_say(notify, "READY=1\nSTATUS=serving");
	}
	while (rc == 0 && !(sv.stopping && may_end(&sv)))
		rc = turn(&sv, e);
	crew_close(&sv.crew);
	zygote_close(&sv.zygote);
	peers_close(&sv.peers);
	close_fd(&sv.signals);
	return rc;
}
