#include "tests/sim/world.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/catalog.h"
#include "base/cleanup.h"
#include "proto/record.h"
#include "store/store.h"

enum {
	TURNS_MAX = 3000000, /* a run that needs more goes in circles */
	IDLE_TURNS = 2,
	DEPTH_MAX = 32,
	LINES_FIRST = 512, /* a power of two, doubled when full */
	DISK_IMAGE_BYTES = 64 << 20,
};

#define SETTLE_LIMIT_US (UINT64_C(24) * 3600 * 1000 * 1000)

struct world *the_world;

const char *world_path(const struct world *w, const char *under)
{
	static char path[WORLD_PATH * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", w->root, under);
	return path;
}

/* ---- the log ---- */

static void log_line(void *arg, enum log_level level, const char *text)
{
	struct world *w = arg;
	SIM_HOST_SCOPE;

	(void)level;
	if (sim_dead(w->sim))
		return; /* nobody hears it */
	if ((w->nlines & (w->nlines - 1)) == 0 && w->nlines >= LINES_FIRST) {
		w->lines = reallocarray(w->lines, w->nlines * 2UL, sizeof(*w->lines));
		ASSERT(w->lines);
	}
	w->lines[w->nlines].at_us = sim_now_us(w->sim);
	w->lines[w->nlines++].text = strdup(text);
	if (w->on_line)
		w->on_line(w, text);
}

/* "op=X actor=vm/a ev=step.do step=console rc=0 dur_us=7" -> "vm/a step.do step=console". */
static void add_event(char *out, size_t size, const struct log_line *l, uint64_t from_us)
{
	static const char *const shown[] = { "vm.state", "vm.ready",    "vm.adopted",  "step.do",
					     "undo.do",  "step.failed", "undo.failed", "vmm.exit",
					     "agent.up", "agent.down" };
	const char *actor = strstr(l->text, "actor=");
	const char *ev = strstr(l->text, " ev=");
	const size_t used = strlen(out);
	bool wanted = false;
	char rest[LOG_LINE_MAX];

	if (!actor || !ev)
		return;
	ev += strlen(" ev=");
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		wanted = wanted || (strncmp(ev, shown[i], strlen(shown[i])) == 0 &&
				    (ev[strlen(shown[i])] == ' ' || !ev[strlen(shown[i])]));
	if (!wanted)
		return;
	(void)snprintf(rest, sizeof(rest), "%s", ev);
	char *times = strstr(rest, " dur_us=");
	if (times)
		*times = '\0';
	actor += strlen("actor=");
	(void)snprintf(out + used, size - used, "[%5llums] %.*s %s\n",
		       (unsigned long long)((l->at_us - from_us) / 10000 * 10),
		       (int)strcspn(actor, " "), actor, rest);
}

const char *world_story(struct world *w)
{
	static char out[1 << 16];

	const uint64_t from_us = w->mark < w->nlines ? w->lines[w->mark].at_us : 0;

	out[0] = '\0';
	for (; w->mark < w->nlines; w->mark++)
		add_event(out, sizeof(out), &w->lines[w->mark], from_us);
	return out;
}

void world_print_log(const struct world *w, uint32_t last)
{
	const uint32_t from = w->nlines > last ? w->nlines - last : 0;

	for (uint32_t i = from; i < w->nlines; i++)
		fprintf(stderr, "[%9llu] %s\n", (unsigned long long)w->lines[i].at_us,
			w->lines[i].text);
}

/* ---- directories ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void empty(const char *dir)
{
	IGNORE(nftw(dir, remove_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS) < 0);
}

static void make(const char *dir)
{
	const int rc = mkdir(dir, 0700);

	ASSERT(rc == 0 || errno == EEXIST);
}

static void touch(const char *path)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ASSERT(fd >= 0);
}

static void put(struct store *s, enum store_table t, const char *key, const struct schema *schema,
		const void *record)
{
	struct store_batch b;
	struct buf value;
	struct err e = { 0 };

	buf_init(&value, STORE_VALUE_MAX);
	store_batch_init(&b);
	if (schema_encode(schema, record, &value) < 0 ||
	    store_batch_put(&b, t, key, strlen(key), buf_data(&value), buf_len(&value)) < 0 ||
	    store_apply(s, &b, &e) < 0)
		ASSERT(!"a record of an image");
	store_batch_fini(&b);
	buf_fini(&value);
}

/* As if "debian" and a kernel had been imported before. */
static void add_disk_image(struct world *w)
{
	static const char *const dirs[] = { "state/db", "state/images", "state/images/debian",
					    "state/kernels", "state/kernels/linux" };
	static struct image_view image = { /* too large for the stack */
					   .name = "debian",
					   .kind = IMAGE_KIND_DISK,
					   .bytes = DISK_IMAGE_BYTES,
					   .created_ms = 1
	};
	static struct kernel_view kernel = { .name = "linux", .version = "6.1.0", .created_ms = 1 };
	char db[WORLD_PATH * 2];
	struct store_config sc = { .dir = db, .no_sync = true };
	struct store *store;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		make(world_path(w, dirs[i]));
	(void)snprintf(db, sizeof(db), "%s", world_path(w, "state/db"));
	(void)snprintf(image.path, sizeof(image.path), "%s",
		       world_path(w, "state/images/debian/rootfs.ext4"));
	touch(image.path);
	touch(world_path(w, "state/images/debian/upper.ext4"));
	(void)snprintf(kernel.path, sizeof(kernel.path), "%s",
		       world_path(w, "state/kernels/linux/vmlinux"));
	touch(kernel.path);
	(void)snprintf(kernel.initrd, sizeof(kernel.initrd), "%s",
		       world_path(w, "state/kernels/linux/initrd"));
	touch(kernel.initrd);
	const int rc = store_open(&sc, &store, &e);
	ASSERT(rc == 0);
	put(store, STORE_IMAGES, "debian", &image_view_schema, &image);
	put(store, STORE_KERNELS, "linux", &kernel_view_schema, &kernel);
	store_close(store);
}

/* ---- life ---- */

static void make_root(struct world *w)
{
	(void)snprintf(w->root, sizeof(w->root), "/dev/shm/banger-sim-XXXXXX");
	if (!mkdtemp(w->root)) {
		(void)snprintf(w->root, sizeof(w->root), "/tmp/banger-sim-XXXXXX");
		if (!mkdtemp(w->root))
			ASSERT(!"a directory of our own");
	}
	(void)snprintf(w->runtime, sizeof(w->runtime), "%s/runtime", w->root);
	(void)snprintf(w->state, sizeof(w->state), "%s/state", w->root);
	make(w->runtime);
	make(w->state);
}

/* A cgroup that is delegated, with its controllers enabled. */
static void make_cgroup(struct world *w)
{
	static const char *const files[] = { "cgroup.controllers", "cgroup.subtree_control",
					     "cgroup.procs" };
	char path[WORLD_PATH * 2];

	make(world_path(w, "cgroup"));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/cgroup/%s", w->root, files[i]);
		FILE *f = fopen(path, "we");

		ASSERT(f);
		(void)fputs("cpu memory pids\n", f);
		(void)fclose(f);
	}
}

static void make_conf(struct world *w)
{
	struct conf *c = &w->conf;

	conf_init(c, "/usr/libexec/banger");
	(void)snprintf(c->runtime_dir, sizeof(c->runtime_dir), "%s", w->runtime);
	(void)snprintf(c->state_dir, sizeof(c->state_dir), "%s", w->state);
	(void)snprintf(c->qemu, sizeof(c->qemu), "/usr/bin/%s", vmm_program.name);
	(void)snprintf(c->passt, sizeof(c->passt), "/usr/bin/%s", passt_program.name);
	(void)snprintf(c->log_level, sizeof(c->log_level), "debug");
	(void)snprintf(c->cgroup, sizeof(c->cgroup), "%s/cgroup", w->root);
	c->starts_max = WORLD_STARTS;
	(void)snprintf(c->accel, sizeof(c->accel), "tcg");
	c->vcpu = 1;
	c->memory_bytes = UINT64_C(256) << 20;
	c->disk_bytes = UINT64_C(1) << 30;
	c->cpus = 1;
	c->host_memory_bytes = UINT64_C(8) << 30;
	(void)snprintf(w->conf_file, sizeof(w->conf_file), "%s/banger.conf", w->root);
	w->conf_input = (struct conf_input){ .file = w->conf_file,
					     .libexec = "/usr/libexec/banger" };
}

static void make_system(struct world *w)
{
	struct conf *c = &w->conf;

	c->system = true;
	(void)snprintf(c->helper_socket, sizeof(c->helper_socket), "%s/helper.sock", w->root);
	(void)snprintf(c->libexec_dir, sizeof(c->libexec_dir), "%s/libexec", w->root);
	make(c->libexec_dir);
	touch(world_path(w, "libexec/probe.elf"));
}

static void make_firecracker(struct world *w)
{
	struct conf *c = &w->conf;

	(void)snprintf(c->vmm, sizeof(c->vmm), "%s", vmm_firecracker.name);
	(void)snprintf(c->firecracker, sizeof(c->firecracker), "/usr/bin/%s",
		       firecracker_program.name);
}

struct world *world_create(const struct world_config *conf)
{
	struct world *w = calloc(1, sizeof(*w));

	ASSERT(w);
	ASSERT(!the_world);
	w->lines = calloc(LINES_FIRST, sizeof(*w->lines));
	ASSERT(w->lines);
	w->boot_us = 500000;
	make_root(w);
	make_cgroup(w);
	make_conf(w);
	if (conf->disk_image)
		add_disk_image(w);
	if (conf->system)
		make_system(w);
	if (conf->firecracker)
		make_firecracker(w);
	w->no_device_mapper = conf->copies;
	w->sim = sim_create(&conf->sim);
	sim_install(w->sim, &vmm_program);
	sim_install(w->sim, &network_program);
	sim_install(w->sim, &passt_program);
	sim_install(w->sim, &firecracker_program);
	sim_install(w->sim, &imager_program);
	sim_use(w->sim);
	log_set_sink(log_line, w);
	the_world = w;
	if (conf->system)
		helper_begin(w);
	return w;
}

void world_destroy(struct world *w)
{
	if (w->daemon)
		world_kill(w);
	log_set_sink(NULL, NULL);
	helper_free(w);
	sim_use(NULL);
	sim_destroy(w->sim);
	the_world = NULL;
	empty(w->root);
	for (uint32_t i = 0; i < w->nlines; i++)
		free(w->lines[i].text);
	free(w->lines);
	free(w);
}

bool world_start(struct world *w)
{
	struct daemon_config dc = { .conf = &w->conf,
				    .input = &w->conf_input,
				    .problems = &w->conf_problems,
				    .no_sync = true,
				    .listen_fd = -EBADF,
				    .tsc_khz = 2000000,
				    .firecracker = { .usable = true, .version = "1.16.1" } };
	struct daemon *d = NULL;

	ASSERT(!w->daemon);
	w->start_err = (struct err){ 0 };
	sim_daemon_runs = true;
	const int rc = daemon_create(&dc, &d, &w->start_err);
	sim_daemon_runs = false;
	w->daemon = d;
	w->failed = rc < 0;
	if (rc == 0 && w->fds_at_start == 0)
		w->fds_at_start = calls_open();
	return rc == 0 && !sim_dead(w->sim);
}

void world_kill(struct world *w)
{
	struct store *store = w->daemon ? w->daemon->store : NULL;
	const int lock_fd = w->daemon ? w->daemon->lock_fd : -EBADF;

	sim_kill(w->sim);
	store_close(store);
	if (lock_fd >= 0)
		(void)close(lock_fd);
	calls_close_all();
	memory_drop_all();
	w->daemon = NULL;
}

void world_power_loss(struct world *w)
{
	world_kill(w);
	sim_power_loss(w->sim);
	empty(w->runtime);
	make(w->runtime);
	empty(world_path(w, "cgroup"));
	make_cgroup(w);
	if (w->helper)
		helper_power_loss(w);
}

/* ---- going on ---- */

bool world_until(struct world *w, world_cond *cond, void *arg, uint64_t limit_us)
{
	const uint64_t end_us = sim_now_us(w->sim) + limit_us;
	int idle_turns = 0;

	for (int turns = 0; turns < TURNS_MAX; turns++) {
		if (cond(w, arg) || sim_dead(w->sim))
			return true;
		const uint64_t before_us = sim_now_us(w->sim);
		uint64_t handled = w->daemon->actors.handled;

		sim_daemon_runs = true;
		const int rc = daemon_turn(w->daemon);
		sim_daemon_runs = false;
		ASSERT(rc >= 0);
		if (sim_now_us(w->sim) > end_us)
			return cond(w, arg);
		/* Nothing is due, nothing was handled, nor once what was queued has been handed
		 * over: nothing ever will be. */
		const bool idle = sim_now_us(w->sim) <= before_us + 1 && sim_idle(w->sim) &&
				  handled == w->daemon->actors.handled &&
				  actors_idle(&w->daemon->actors);

		idle_turns = idle ? idle_turns + 1 : 0;
		if (idle_turns > IDLE_TURNS)
			return cond(w, arg);
	}
	return false;
}

struct op_id world_op_id(struct world *w)
{
	const struct op_id next = w->next_op_id;
	uint8_t tail[10] = { 0 };

	w->next_op_id = (struct op_id){ { 0 } };
	if (!op_id_is_zero(&next))
		return next;
	w->op_ids++;
	for (size_t i = 0; i < 8; i++)
		tail[9 - i] = (uint8_t)(w->op_ids >> (8 * i));
	return op_id_make(sim_now_us(w->sim) / 1000, tail);
}

static bool vm_is_idle(const struct vm *vm)
{
	if (vm->task || !list_empty(&vm->tasks) || vm->retry.set)
		return false;
	return !vm->run || !plan_busy(&vm->run->plan);
}

static const char *vm_restless(const struct node *n, const struct vm *vm)
{
	return !vm_is_idle(vm)             ? "a VM is at work"
	       : node_lease_is_over(n, vm) ? "a VM's lease is over"
					   : NULL;
}

static const char *op_restless(const struct node *n)
{
	static char text[96];
	char id[OP_ID_CHARS + 1];

	map_for_each (m, &n->ops) {
		const struct op *op = container_of(m, struct op, by_id);

		if (op->method == METHOD_WATCH)
			continue;
		op_id_text(&op->id, id);
		(void)snprintf(text, sizeof(text), "%s %s is under way",
			       client_methods[op->method].name, id);
		return text;
	}
	return "a watcher that is not counted";
}

const char *world_restless(const struct world *w)
{
	const struct env *env = &w->daemon->env;
	const struct node *n = w->daemon->node;
	const char *why = n->ops.count > n->nwatchers          ? op_restless(n)
			  : env->njobs > 0                     ? "a job is under way"
			  : env->leaks > 0                     ? "something is to be undone again"
			  : !actors_idle(&w->daemon->actors)   ? "a message waits"
			  : !db_idle(env->db)                  ? "a commit is waited for"
			  : env->system && !env->system->known ? "the root helper is asked"
			  : !helper_rests(w)                   ? "the root helper is at work"
			  : !sim_idle(w->sim)                  ? "the host is at work"
			  : !sim_daemon_rests(w->sim)          ? "a request is not answered"
							       : NULL;

	list_for_each (l, &n->vms)
		why = why ? why : vm_restless(n, list_entry(l, struct vm, link));
	return why;
}

static bool world_quiet(struct world *w, void *arg)
{
	(void)arg;
	return !world_restless(w);
}

bool world_settle(struct world *w)
{
	return world_until(w, world_quiet, NULL, SETTLE_LIMIT_US);
}

/* ---- looking ---- */

struct vm *world_vm(struct world *w, const char *name)
{
	list_for_each (l, &w->daemon->node->vms) {
		struct vm *vm = list_entry(l, struct vm, link);

		if (strcmp(vm->rec.spec.name, name) == 0)
			return vm;
	}
	return NULL;
}

const char *world_state(struct world *w, const char *name)
{
	const struct vm *vm = world_vm(w, name);

	return vm ? fsm_name(&vm->fsm) : "gone";
}
