/* check.c - do the records, the daemon's memory and the host agree? */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "actors/catalog.h"
#include "proto/record.h"
#include "tests/sim/world.h"
#include "vmm/usernet.h"

static char wrong[1024];

static PRINTF_LIKE(1, 2) const char *say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(wrong, sizeof(wrong), fmt, ap);
	va_end(ap);
	return wrong;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static uint32_t processes(struct world *w, const char *prefix, vm_id id)
{
	char word[64];
	uint32_t n = 0;

	(void)snprintf(word, sizeof(word), "%s", prefix);
	if (id)
		vm_id_text(id, word + strlen(word));
	for (const struct sim_proc *p = sim_next(w->sim, NULL); p; p = sim_next(w->sim, p)) {
		bool found = false;

		for (uint32_t i = 0; i < p->argv.n; i++)
			found = found || strstr(p->argv.v[i], word);
		n += found;
	}
	return n;
}

uint32_t world_processes(struct world *w, vm_id id)
{
	return processes(w, VMM_PROCESS_PREFIX, id);
}

uint32_t world_networks(struct world *w, vm_id id)
{
	return processes(w, USERNET_PROCESS_PREFIX, id);
}

/* ---- what is in a directory ---- */

typedef bool known_fn(struct world *w, const char *name);

/* The first entry that nobody knows; "" when there is none. */
static const char *stranger(struct world *w, const char *dir, known_fn *known)
{
	static char name[256];
	DIR *d = opendir(world_path(w, dir));
	const struct dirent *e;

	name[0] = '\0';
	while (d && (e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): our own stream */
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !known(w, e->d_name))
			(void)snprintf(name, sizeof(name), "%s", e->d_name);
	if (d)
		closedir(d);
	return name;
}

static const struct vm *vm_of_dir(struct world *w, const char *name)
{
	vm_id id;

	return vm_id_parse(name, &id) == 0 ? node_vm(w->daemon->node, id) : NULL;
}

static bool known_nobody(struct world *w, const char *name)
{
	(void)w;
	(void)name;
	return false;
}

static bool known_vm(struct world *w, const char *name)
{
	return vm_of_dir(w, name) != NULL;
}

static bool known_running(struct world *w, const char *name)
{
	const struct vm *vm = vm_of_dir(w, name);

	return vm && vm_runs(vm);
}

/* Beside the files of the group above them. */
static bool known_group(struct world *w, const char *name)
{
	char id[VM_ID_CHARS + 1];

	if (strncmp(name, "bg-", 3) != 0)
		return true;
	(void)snprintf(id, sizeof(id), "%s", name + 3);
	return known_running(w, id);
}

static bool known_image(struct world *w, const char *name)
{
	return catalog_image(w->daemon->env.catalog, name) != NULL;
}

static bool known_kernel(struct world *w, const char *name)
{
	return catalog_kernel(w->daemon->env.catalog, name) != NULL;
}

static const char *check_dirs(struct world *w)
{
	static const struct {
		const char *dir;
		known_fn *known;
	} dirs[] = {
		{ "runtime/vm", known_running },   { "state/vms", known_vm },
		{ "state/staging", known_nobody }, { "state/images", known_image },
		{ "state/kernels", known_kernel }, { "cgroup", known_group },
		{ "state/jails", known_running },
	};

	if (exists(world_path(w, "state/trash")) || exists(world_path(w, "runtime/trash")))
		return say("the sweep has left something");
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		const char *name = stranger(w, dirs[i].dir, dirs[i].known);

		if (name[0])
			return say("%s/%s is nobody's", dirs[i].dir, name);
	}
	return NULL;
}

/* ---- one VM ---- */

static void key_of(vm_id id, uint8_t key[8])
{
	for (int i = 0; i < 8; i++)
		key[i] = (uint8_t)(id >> (56 - 8 * i));
}

/* What is durable; the buffer that it is read through is the daemon's. */
static int get(struct world *w, enum store_table t, vm_id id, const struct schema *schema,
	       void *ret_record)
{
	uint8_t key[8];

	key_of(id, key);
	sim_daemon_runs = true;
	const int rc = db_get(w->daemon->env.db, t, key, sizeof(key), schema, ret_record, NULL);
	sim_daemon_runs = false;
	return rc;
}

static const char *check_record(struct world *w, const struct vm *vm)
{
	struct vm_record rec;

	if (get(w, STORE_VMS, vm->rec.id, &vm_record_schema, &rec) < 0)
		return say("vm %s is in memory and not in the store", vm->rec.spec.name);
	const uint32_t state = rec.state;

	schema_fini(&vm_record_schema, &rec);
	if (state != vm->fsm.now)
		return say("vm %s is %s, its record says %s", vm->rec.spec.name, fsm_name(&vm->fsm),
			   state < VM_NSTATES ? vm_states[state].name : "?");
	return NULL;
}

static const char *check_held(struct world *w, const struct vm *vm)
{
	struct vm_resources res = { 0 };
	const bool runs = vm_runs(vm) && vm->driver->program;

	const bool ours = runs && !vm_is_system(vm);

	IGNORE(get(w, STORE_RESOURCES, vm->rec.id, &vm_resources_schema, &res) < 0);
	if (res.process != runs || res.runtime != ours || (res.cgroup[0] != '\0') != ours ||
	    res.helper != (runs && !ours))
		return say("vm %s is %s, its record says%s%s%s%s", vm->rec.spec.name,
			   fsm_name(&vm->fsm), res.process ? " process" : "",
			   res.runtime ? " runtime" : "", res.cgroup[0] ? " cgroup" : "",
			   res.helper ? " helper" : "");
	if (runs && res.pid != 0 && !sim_find(w->sim, (pid_t)res.pid))
		return say("vm %s runs as pid %u, which is not there", vm->rec.spec.name, res.pid);
	return NULL;
}

/* What the root helper holds for one that runs. */
static const char *wanted_of(const struct vm *vm)
{
	if (strcmp(vm->rec.spec.image, IMAGE_PROBE) == 0)
		return " jail";
	if (vm->rec.disk[0])
		return vm->rec.spec.nat ? " tap nat jail" : " tap jail";
	return vm->rec.spec.nat ? " disk tap nat jail" : " disk tap jail";
}

static const char *check_host(struct world *w, const struct vm *vm)
{
	const bool has_files = vm->driver->program != NULL;
	const uint32_t want = vm_runs(vm) && has_files;
	const uint32_t have = world_processes(w, vm->rec.id);
	char path[ENV_PATH_MAX];

	if (have != want)
		return say("vm %s is %s and has %u processes", vm->rec.spec.name,
			   fsm_name(&vm->fsm), have);
	/* One that has died is replaced after a while, and is none that is missed. */
	if (world_networks(w, vm->rec.id) > want)
		return say("vm %s is %s and has a network", vm->rec.spec.name, fsm_name(&vm->fsm));
	vm_runtime_path(vm, "", path);
	if (exists(path) != want)
		return say("vm %s is %s, its runtime directory is%s there", vm->rec.spec.name,
			   fsm_name(&vm->fsm), want ? " not" : "");
	cgroup_path(&w->daemon->env.cgroup, vm->rec.id, w->daemon->env.home, path);
	if (exists(path) != (want && !vm_is_system(vm)))
		return say("vm %s is %s, its cgroup is%s there", vm->rec.spec.name,
			   fsm_name(&vm->fsm), want ? " not" : "");
	if (w->helper && strcmp(helper_holds(w, vm->rec.id), want ? wanted_of(vm) : "") != 0)
		return say("vm %s is %s, the root helper holds:%s", vm->rec.spec.name,
			   fsm_name(&vm->fsm), helper_holds(w, vm->rec.id));
	vm_state_path(vm, "", path);
	if (exists(path) != has_files)
		return say("vm %s is %s, its files are%s there", vm->rec.spec.name,
			   fsm_name(&vm->fsm), has_files ? " not" : "");
	return NULL;
}

static bool state_settled(const struct vm *vm)
{
	switch (vm_state(vm)) {
	case VM_CREATED:
	case VM_RUNNING:
	case VM_STOPPED:
	case VM_FAILED:
		return true;
	case VM_CREATING:
	case VM_STARTING:
	case VM_STOPPING:
	case VM_DELETING:
	case VM_NSTATES:
		break;
	}
	return false;
}

static const char *check_vm(struct world *w, const struct vm *vm)
{
	const char *bad;

	if (vm_state(vm) == VM_DELETING && vm->leaks > 0)
		return check_record(w, vm); /* it is tried again, also after a crash */
	if (!state_settled(vm))
		return say("vm %s stays %s", vm->rec.spec.name, fsm_name(&vm->fsm));
	if ((bad = check_record(w, vm)) || (bad = check_held(w, vm)) || (bad = check_host(w, vm)))
		return bad;
	return NULL;
}

const char *world_check_gate(struct world *w, const char *name)
{
	const struct vm *vm = world_vm(w, name);

	if (vm && vm->run && vm->run->gate.held && vm_state(vm) != VM_STARTING)
		return say("vm %s is %s and keeps its place at the gate", name, fsm_name(&vm->fsm));
	return NULL;
}

const char *world_check_vm(struct world *w, const char *name)
{
	const struct vm *vm = world_vm(w, name);

	return vm ? check_vm(w, vm) : NULL;
}

/* ---- everything ---- */

static uint32_t count_running(struct world *w)
{
	uint32_t n = 0;

	list_for_each (l, &w->daemon->node->vms) {
		const struct vm *vm = list_entry(l, struct vm, link);

		n += vm_runs(vm) && vm->driver->program;
	}
	return n;
}

static const char *check_memory(struct world *w)
{
	const struct env *env = &w->daemon->env;

	if (env->gate.taken != 0 || env->gate.parts != 0 || env->gate.nwaiting != 0)
		return say("the gate: %u taken, %u waiting", env->gate.taken, env->gate.nwaiting);
	if (env->leaks != 0)
		return say("%llu leaks", (unsigned long long)env->leaks);
	list_for_each (l, &w->daemon->node->vms) {
		const struct vm *vm = list_entry(l, struct vm, link);

		if (vm->task || vm->ntasks != 0)
			return say("vm %s has a task left", vm->rec.spec.name);
		if (vm->run && !vm_runs(vm))
			return say("vm %s is %s and keeps what a run needs", vm->rec.spec.name,
				   fsm_name(&vm->fsm));
	}
	return NULL;
}

static const char *check_open(struct world *w)
{
	const uint32_t running = count_running(w);
	uint32_t want = 1 + w->daemon->env.nclients + helper_connected(w);

	list_for_each (l, &w->daemon->node->vms) {
		const struct vm *vm = list_entry(l, struct vm, link);

		if (!vm->run)
			continue;
		want += vm->run->pidfd >= 0;
		want += vm->run->net.pidfd >= 0;
		want += vm->run->rings_open;
		for (int s = 0; s < VMM_NSOCKETS; s++)
			want += vm->run->stream_open[s] && !vm->run->stream[s].closed;
	}
	if (sim_daemon_fds(w->sim) != want)
		return say("%u simulated descriptors are open, %u should be",
			   sim_daemon_fds(w->sim), want);
	if (calls_open() != w->fds_at_start)
		return say("%u files are open, %u should be", calls_open(), w->fds_at_start);
	if (sim_daemon_children(w->sim) > running + world_networks(w, 0))
		return say("%u children, and %u VMs run", sim_daemon_children(w->sim), running);
	if (world_processes(w, 0) != running)
		return say("%u VMMs, and %u VMs run", world_processes(w, 0), running);
	return NULL;
}

static int count_record(void *arg, const void *key, size_t key_len, const void *value, size_t len)
{
	uint32_t *n = arg;

	(void)key;
	(void)key_len;
	(void)value;
	(void)len;
	(*n)++;
	return 0;
}

static const char *check_store(struct world *w)
{
	struct store *s = w->daemon->store;
	uint32_t n = 0;

	IGNORE(store_each(s, STORE_VMS, count_record, &n, NULL) < 0);
	if (w->helper && helper_nheld(w) != count_running(w))
		return say("the root helper holds something for %u VMs, and %u run",
			   helper_nheld(w), count_running(w));
	if (n != w->daemon->node->nvms)
		return say("%u records, and %u VMs in memory", n, w->daemon->node->nvms);
	return NULL;
}

const char *world_check(struct world *w)
{
	const char *bad;

	list_for_each (l, &w->daemon->node->vms)
		if ((bad = check_vm(w, list_entry(l, struct vm, link))))
			return bad;
	if ((bad = check_dirs(w)) || (bad = check_memory(w)) || (bad = check_open(w)) ||
	    (bad = check_store(w)))
		return bad;
	return NULL;
}
