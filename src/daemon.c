#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "actors/accel.h"
#include "actors/catalog.h"
#include "actors/config.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "base/lock.h"
#include "base/paths.h"

static int make_dirs(const struct conf *c, struct err *e)
{
	static const char *const state[] = { "db", "vms", "images", "kernels", "staging" };
	char path[ENV_PATH_MAX + 16];

	int rc = paths_ensure_dir(c->runtime_dir, e);
	if (rc == 0)
		rc = paths_ensure_dir(c->state_dir, e);
	(void)snprintf(path, sizeof(path), "%s/vm", c->runtime_dir);
	if (rc == 0)
		rc = paths_ensure_dir(path, e);
	for (size_t i = 0; i < ARRAY_LEN(state) && rc == 0; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", c->state_dir, state[i]);
		rc = paths_ensure_dir(path, e);
	}
	return rc;
}

/* The directory itself, however its path is spelt; a copy of it is another home. */
static int find_home(struct env *env, struct err *e)
{
	struct stat st;

	if (stat(env->conf.state_dir, &st) < 0)
		return err_sys(e, ERR_HOST_IO, "%s", env->conf.state_dir);
	const uint64_t place[] = { st.st_dev, st.st_ino };
	vm_id_text(map_hash_bytes(place, sizeof(place)) & VM_ID_MAX, env->home);
	return 0;
}

void daemon_socket_path(const struct conf *conf, char out[ENV_PATH_MAX + 16])
{
	(void)snprintf(out, ENV_PATH_MAX + 16, "%.900s/bangerd.sock", conf->runtime_dir);
}

static int open_store(struct daemon *d, bool no_sync, struct err *e)
{
	char dir[ENV_PATH_MAX + 8];
	const struct store_config sc = { .dir = dir, .no_sync = no_sync };

	(void)snprintf(dir, sizeof(dir), "%s/db", d->env.conf.state_dir);
	return store_open(&sc, &d->store, e);
}

/* The root helper takes files from the state directory alone. */
static int make_system(struct env *env, struct err *e)
{
	char from[ENV_PATH_MAX + 16];
	char to[ENV_PATH_MAX + 16];

	(void)snprintf(from, sizeof(from), "%.900s/" PROBE_FILE, env->conf.libexec_dir);
	(void)snprintf(to, sizeof(to), "%.900s/" PROBE_FILE, env->conf.state_dir);
	if (files_copy(from, to, e) < 0)
		return err_errno(e);
	return system_create(env, env->conf.helper_socket, e);
}

static int make_services(struct daemon *d, struct err *e)
{
	struct env *env = &d->env;

	actors_init(&d->actors);
	list_init(&env->clients);
	list_init(&env->consoles);
	env->actors = &d->actors;
	int rc = io_create(&(struct io_config){ 0 }, &d->actors, &env->io, e);
	if (rc < 0)
		return rc;
	env->started_ms = io_wall_ms(env->io);
	gate_init(&env->gate, &d->actors, env->conf.starts_max);
	rc = db_create(env->io, &d->actors, d->store, &env->db);
	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "store");
	if (env->conf.system)
		rc = make_system(env, e);
	if (rc == 0)
		rc = accel_create(env, e);
	return rc < 0 ? rc : catalog_create(d->store, &env->conf, &env->catalog, e);
}

static void handle(struct actor *a, struct msg *m)
{
	(void)m; /* there is but one */
	container_of(a, struct daemon, actor)->over = true;
}

static int listen_and_serve(struct daemon *d, int fd, struct err *e)
{
	char path[ENV_PATH_MAX + 16];

	if (fd < 0) {
		daemon_socket_path(&d->env.conf, path);
		fd = io_listen_unix(d->env.io, path, e);
	}
	if (fd < 0)
		return fd;
	return node_create(&d->env, fd, &d->node, e);
}

int daemon_create(const struct daemon_config *conf, struct daemon **ret_daemon, struct err *e)
{
	struct daemon *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(e, ERR_HOST_MEMORY, "daemon");
	*ret_daemon = d; /* also when it fails: what there is so far belongs to the process */
	d->lock_fd = -EBADF;
	d->env.conf = *conf->conf;
	d->env.tsc_khz = conf->tsc_khz;
	d->env.firecracker = conf->firecracker;
	int rc = make_dirs(&d->env.conf, e);
	if (rc == 0)
		rc = find_home(&d->env, e);
	if (rc == 0)
		rc = lock_take("daemon", d->env.conf.runtime_dir, "daemon.lock", &d->lock_fd, e);
	if (rc == 0)
		rc = cgroup_find(d->env.conf.cgroup, &d->env.cgroup, e);
	if (rc == 0)
		rc = open_store(d, conf->no_sync, e);
	if (rc == 0)
		rc = make_services(d, e);
	if (rc == 0) {
		config_apply(&d->env);
		rc = config_create(&d->env, conf->input, conf->problems, &d->env.config);
	}
	if (rc == 0 && actor_init(&d->actor, &d->actors, handle) < 0)
		rc = err_set(e, ERR_HOST_MEMORY, "daemon");
	if (rc < 0)
		return rc;
	io_timer_init(&d->last_call, &d->actor, MSG_TIMER);
	return listen_and_serve(d, conf->listen_fd, e);
}

void daemon_stop(struct daemon *d)
{
	node_stop(d->node);
}

int daemon_turn(struct daemon *d)
{
	const int rc = io_turn(d->env.io);

	if (rc < 0)
		return rc;
	if (d->node->exit)
		node_stop(d->node);
	if (!d->env.stopping)
		return 1;
	if (!d->called)
		io_timer_set(d->env.io, &d->last_call, SHUTDOWN_MS, 0);
	d->called = true;
	return d->over || (node_stopped(d->node) && d->env.nclients == d->env.nsettled) ? 0 : 1;
}
