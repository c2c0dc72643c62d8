#include "tests/sim/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "a"

static void must(struct run *r, struct call *call)
{
	const bool answered = client_wait(r->c, call);

	ASSERT(answered);
	ASSERT(call_code(call) == ERR_NONE);
}

/* ---- stages ---- */

static void nothing(struct run *r)
{
	(void)r;
}

static void created(struct run *r)
{
	must(r, client_create_vm(r->c, NAME, "debian", true));
}

static void probe_created(struct run *r)
{
	must(r, client_create_vm(r->c, NAME, "probe", true));
}

static void running(struct run *r)
{
	must(r, client_create_vm(r->c, NAME, "debian", false));
}

static void probe_running(struct run *r)
{
	must(r, client_create_vm(r->c, NAME, "probe", false));
}

/* The guest runs on, and so do the ones that are started next, but for what the mood says. */
static void running_and_left(struct run *r)
{
	running(r);
	world_kill(r->w);
	sim_run(r->w->sim, 1000);
}

static void probe_running_and_left(struct run *r)
{
	probe_running(r);
	world_kill(r->w);
	sim_run(r->w->sim, 1000);
}

static void running_and_lost(struct run *r)
{
	running(r);
	world_power_loss(r->w);
}

static struct call *import(struct run *r, const char *name, bool kernel)
{
	static struct image_import_args image = { .force = true }; /* too large for the stack */
	static struct kernel_import_args package = { .force = true };

	if (kernel) {
		(void)snprintf(package.name, sizeof(package.name), "%s", name);
		(void)snprintf(package.path, sizeof(package.path), "/src/linux-image.deb");
		return client_ask(r->c, METHOD_KERNEL_IMPORT, &package,
				  &(struct client_how){ .progress = true });
	}
	(void)snprintf(image.name, sizeof(image.name), "%s", name);
	(void)snprintf(image.path, sizeof(image.path), "/src/root.tar");
	return client_ask(r->c, METHOD_IMAGE_IMPORT, &image,
			  &(struct client_how){ .progress = true });
}

static void image_there(struct run *r)
{
	must(r, import(r, "img", false));
}

static void kernel_there(struct run *r)
{
	must(r, import(r, "krn", true));
}

/* ---- questions ---- */

static struct call *create(struct run *r)
{
	return client_create_vm(r->c, NAME, "debian", true);
}

static struct call *create_and_start(struct run *r)
{
	return client_create_vm(r->c, NAME, "debian", false);
}

static struct call *create_with_nat(struct run *r)
{
	static struct create_args args; /* too large for the stack */

	args = (struct create_args){ .spec.nat = true };
	(void)snprintf(args.spec.name, sizeof(args.spec.name), NAME);
	(void)snprintf(args.spec.image, sizeof(args.spec.image), "debian");
	return client_ask(r->c, METHOD_VM_CREATE, &args, &(struct client_how){ .progress = true });
}

static void running_with_nat(struct run *r)
{
	must(r, create_with_nat(r));
}

static struct call *create_probe(struct run *r)
{
	return client_create_vm(r->c, NAME, "probe", false);
}

static struct call *create_null(struct run *r)
{
	return client_create_vm(r->c, NAME, "null", false);
}

static struct call *start(struct run *r)
{
	return client_on_vm(r->c, METHOD_VM_START, NAME);
}

static struct call *stop(struct run *r)
{
	return client_on_vm(r->c, METHOD_VM_STOP, NAME);
}

static struct call *restart(struct run *r)
{
	return client_on_vm(r->c, METHOD_VM_RESTART, NAME);
}

/* All that may be set while it does not run, and what may be at any time. */
static struct call *set(struct run *r, bool sizes)
{
	struct targets_args args = { 0 };

	if (strv_add(&args.refs, NAME) < 0 || strv_add(&args.set.labels, "a=1") < 0 ||
	    strv_add(&args.set.drop_labels, "b") < 0)
		ASSERT(!"memory");
	if (sizes)
		args.set.vcpu = 2;
	if (sizes)
		args.set.disk_bytes = UINT64_C(64) << 30;
	struct call *call = client_ask(r->c, METHOD_VM_SET, &args, NULL);

	schema_fini(&targets_args_schema, &args);
	return call;
}

static struct call *set_all(struct run *r)
{
	return set(r, true);
}

static struct call *set_label(struct run *r)
{
	return set(r, false);
}

static struct call *set_way_out(struct run *r, const char *nat)
{
	struct targets_args args = { 0 };

	if (strv_add(&args.refs, NAME) < 0)
		ASSERT(!"memory");
	(void)snprintf(args.set.nat, sizeof(args.set.nat), "%s", nat);
	struct call *call = client_ask(r->c, METHOD_VM_SET, &args, NULL);

	schema_fini(&targets_args_schema, &args);
	return call;
}

static struct call *nat_on(struct run *r)
{
	return set_way_out(r, "on");
}

static struct call *nat_off(struct run *r)
{
	return set_way_out(r, "off");
}

static struct call *set_limits(struct run *r)
{
	struct targets_args args = { .set.disk_rate = 1 << 20, .set.disk_iops = 100 };

	if (strv_add(&args.refs, NAME) < 0)
		ASSERT(!"memory");
	struct call *call = client_ask(r->c, METHOD_VM_SET, &args, NULL);

	schema_fini(&targets_args_schema, &args);
	return call;
}

static struct call *kill_it(struct run *r)
{
	return client_on_vm(r->c, METHOD_VM_KILL, NAME);
}

static struct call *delete (struct run *r)
{
	return client_on_vm(r->c, METHOD_VM_DELETE, NAME);
}

static struct call *import_image(struct run *r)
{
	return import(r, "img", false);
}

static struct call *import_kernel(struct run *r)
{
	return import(r, "krn", true);
}

static struct call *rm(struct run *r, enum client_method m, const char *name)
{
	struct name_args args = { { 0 } };

	(void)snprintf(args.name, sizeof(args.name), "%s", name);
	return client_ask(r->c, m, &args, NULL);
}

static struct call *rm_image(struct run *r)
{
	return rm(r, METHOD_IMAGE_RM, "img");
}

static struct call *rm_kernel(struct run *r)
{
	return rm(r, METHOD_KERNEL_RM, "krn");
}

static struct call *create_cancelled(struct run *r)
{
	struct call *call = create_and_start(r);

	client_cancel(r->c, call);
	return call;
}

/* As run --rm: the VM is to go with its client. */
static struct call *lease_and_go(struct run *r)
{
	static struct create_args args = { .lease = true }; /* too large for the stack */

	(void)snprintf(args.spec.name, sizeof(args.spec.name), NAME);
	(void)snprintf(args.spec.image, sizeof(args.spec.image), "debian");
	IGNORE(!client_wait(r->c, client_ask(r->c, METHOD_VM_CREATE, &args, NULL)));
	client_hang_up(r->c);
	return NULL;
}

static struct call *start_daemon(struct run *r)
{
	IGNORE(!world_start(r->w));
	return NULL;
}

/* clang-format off */
const struct scenario scenarios[] = {
	/* name                    vm    before                   ask               vmm            imager          done       failed                   cancelled */
	{ "create",                NAME, nothing,                 create,           VMM_WELL,      IMAGER_WELL,    "created", "gone",                  "gone" },
	{ "create and start",      NAME, nothing,                 create_and_start, VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone" },
	{ "create a probe",        NAME, nothing,                 create_probe,     VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone" },
	{ "create a null VM",      NAME, nothing,                 create_null,      VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone" },
	{ "create, the VMM ends",  NAME, nothing,                 create_and_start, VMM_NO_START,  IMAGER_WELL,    "failed",  "gone failed",           "gone" },
	{ "create and cancel",     NAME, nothing,                 create_cancelled, VMM_WELL,      IMAGER_WELL,    "gone running", "gone failed",      "gone" },
	{ "run and hang up",       NAME, nothing,                 lease_and_go,     VMM_WELL,      IMAGER_WELL,    "gone",    "gone failed",           "gone" },
	{ "start",                 NAME, created,                 start,            VMM_WELL,      IMAGER_WELL,    "running", "failed created",        "stopped created" },
	{ "start a probe",         NAME, probe_created,           start,            VMM_WELL,      IMAGER_WELL,    "running", "failed created",        "stopped created" },
	{ "start, the guest dies", NAME, created,                 start,            VMM_DIES,      IMAGER_WELL,    "failed",  "failed created",        "stopped created" },
	{ "start, a silent guest", NAME, created,                 start,            VMM_SILENT,    IMAGER_WELL,    "failed",  "failed created",        "stopped created" },
	{ "stop",                  NAME, running,                 stop,             VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped" },
	{ "stop, a deaf guest",    NAME, running,                 stop,             VMM_STUBBORN,  IMAGER_WELL,    "stopped", "stopped failed",        "stopped" },
	{ "stop a probe",          NAME, probe_running,           stop,             VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped" },
	{ "restart",               NAME, running,                 restart,          VMM_WELL,      IMAGER_WELL,    "running", "failed",                "stopped" },
	{ "kill",                  NAME, running,                 kill_it,          VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped" },
	{ "set",                   NAME, created,                 set_all,          VMM_WELL,      IMAGER_WELL,    "created", "created",               "created" },
	{ "set a label",           NAME, running,                 set_label,        VMM_WELL,      IMAGER_WELL,    "running", "running",               "running" },
	{ "set limits",            NAME, running,                 set_limits,       VMM_WELL,      IMAGER_WELL,    "running", "running",               "running" },
	{ "delete",                NAME, created,                 delete,           VMM_WELL,      IMAGER_WELL,    "gone",    "created failed gone",   "gone" },
	{ "delete a running VM",   NAME, running,                 delete,           VMM_WELL,      IMAGER_WELL,    "gone",    "stopped failed gone",   "gone" },
	{ "adopt",                 NAME, running_and_left,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "" },
	{ "adopt a probe",         NAME, probe_running_and_left,  start_daemon,     VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "" },
	{ "recover",               NAME, running_and_lost,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "" },
	{ "firecracker: create",   NAME, nothing,                 create,           VMM_WELL,      IMAGER_WELL,    "created", "gone",                  "gone",            false, true },
	{ "firecracker: create and start", NAME, nothing,         create_and_start, VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            false, true },
	{ "firecracker: a probe",  NAME, nothing,                 create_probe,     VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            false, true },
	{ "firecracker: it ends",  NAME, nothing,                 create_and_start, VMM_NO_START,  IMAGER_WELL,    "failed",  "gone failed",           "gone",            false, true },
	{ "firecracker: run and hang up", NAME, nothing,          lease_and_go,     VMM_WELL,      IMAGER_WELL,    "gone",    "gone failed",           "gone",            false, true },
	{ "firecracker: start",    NAME, created,                 start,            VMM_WELL,      IMAGER_WELL,    "running", "failed created",        "stopped created", false, true },
	{ "firecracker: the guest dies", NAME, created,           start,            VMM_DIES,      IMAGER_WELL,    "failed",  "failed created",        "stopped created", false, true },
	{ "firecracker: a silent guest", NAME, created,           start,            VMM_SILENT,    IMAGER_WELL,    "failed",  "failed created",        "stopped created", false, true },
	{ "firecracker: stop",     NAME, running,                 stop,             VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         false, true },
	{ "firecracker: stop, deaf", NAME, running,               stop,             VMM_STUBBORN,  IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         false, true },
	{ "firecracker: stop a probe", NAME, probe_running,       stop,             VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         false, true },
	{ "firecracker: set",      NAME, created,                 set_all,          VMM_WELL,      IMAGER_WELL,    "created", "created",               "created",         false, true },
	{ "firecracker: set limits", NAME, running,               set_limits,       VMM_WELL,      IMAGER_WELL,    "running", "running",               "running",         false, true },
	{ "firecracker: deaf to limits", NAME, running,           set_limits,       VMM_STUBBORN,  IMAGER_WELL,    "running", "running",               "running",         false, true },
	{ "firecracker: delete",   NAME, running,                 delete,           VMM_WELL,      IMAGER_WELL,    "gone",    "stopped failed gone",   "gone",            false, true },
	{ "firecracker: adopt",    NAME, running_and_left,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "",               false, true },
	{ "firecracker: adopt a probe", NAME, probe_running_and_left, start_daemon, VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "",               false, true },
	{ "firecracker: recover",  NAME, running_and_lost,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "",                false, true },
	{ "import an image",       "",   nothing,                 import_image,     VMM_WELL,      IMAGER_WELL,    "",        "",                      "" },
	{ "import a bad image",    "",   nothing,                 import_image,     VMM_WELL,      IMAGER_ERROR,   "",        "",                      "" },
	{ "import, a crash",       "",   nothing,                 import_image,     VMM_WELL,      IMAGER_CRASH,   "",        "",                      "" },
	{ "import it again",       "",   image_there,             import_image,     VMM_WELL,      IMAGER_WELL,    "",        "",                      "" },
	{ "import a kernel",       "",   nothing,                 import_kernel,    VMM_WELL,      IMAGER_WELL,    "",        "",                      "" },
	{ "remove an image",       "",   image_there,             rm_image,         VMM_WELL,      IMAGER_WELL,    "",        "",                      "" },
	{ "remove a kernel",       "",   kernel_there,            rm_kernel,        VMM_WELL,      IMAGER_WELL,    "",        "",                      "" },
	{ "system: create",        NAME, nothing,                 create,           VMM_WELL,      IMAGER_WELL,    "created", "gone",                  "gone",            true },
	{ "system: create and start", NAME, nothing,              create_with_nat,  VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            true },
	{ "system: a probe",       NAME, nothing,                 create_probe,     VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            true },
	{ "system: the VMM ends",  NAME, nothing,                 create_with_nat,  VMM_NO_START,  IMAGER_WELL,    "failed",  "gone failed",           "gone",            true },
	{ "system: run and hang up", NAME, nothing,               lease_and_go,     VMM_WELL,      IMAGER_WELL,    "gone",    "gone failed",           "gone",            true },
	{ "system: start",         NAME, created,                 start,            VMM_WELL,      IMAGER_WELL,    "running", "failed created",        "stopped created", true },
	{ "system: stop",          NAME, running,                 stop,             VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         true },
	{ "system: stop, a deaf guest", NAME, running,            stop,             VMM_STUBBORN,  IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         true },
	{ "system: restart",       NAME, running,                 restart,          VMM_WELL,      IMAGER_WELL,    "running", "failed",                "stopped",         true },
	{ "system: kill",          NAME, running,                 kill_it,          VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         true },
	{ "system: delete",        NAME, running,                 delete,           VMM_WELL,      IMAGER_WELL,    "gone",    "stopped failed gone",   "gone",            true },
	{ "system: set a way out", NAME, running,                 nat_on,           VMM_WELL,      IMAGER_WELL,    "running", "running",               "running",         true },
	{ "system: set none",      NAME, running_with_nat,        nat_off,          VMM_WELL,      IMAGER_WELL,    "running", "running",               "running",         true },
	{ "system: adopt",         NAME, running_and_left,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "",               true },
	{ "system: recover",       NAME, running_and_lost,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "",                true },
	{ "jailed: create",        NAME, nothing,                 create,           VMM_WELL,      IMAGER_WELL,    "created", "gone",                  "gone",            true, true },
	{ "jailed: create and start", NAME, nothing,              create_with_nat,  VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            true, true },
	{ "jailed: a probe",       NAME, nothing,                 create_probe,     VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            true, true },
	{ "jailed: it ends",       NAME, nothing,                 create_with_nat,  VMM_NO_START,  IMAGER_WELL,    "failed",  "gone failed",           "gone",            true, true },
	{ "jailed: run and hang up", NAME, nothing,               lease_and_go,     VMM_WELL,      IMAGER_WELL,    "gone",    "gone failed",           "gone",            true, true },
	{ "jailed: start",         NAME, created,                 start,            VMM_WELL,      IMAGER_WELL,    "running", "failed created",        "stopped created", true, true },
	{ "jailed: the guest dies", NAME, created,                start,            VMM_DIES,      IMAGER_WELL,    "failed",  "failed created",        "stopped created", true, true },
	{ "jailed: a silent guest", NAME, created,                start,            VMM_SILENT,    IMAGER_WELL,    "failed",  "failed created",        "stopped created", true, true },
	{ "jailed: stop",          NAME, running,                 stop,             VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         true, true },
	{ "jailed: stop a probe",  NAME, probe_running,           stop,             VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         true, true },
	{ "jailed: restart",       NAME, running,                 restart,          VMM_WELL,      IMAGER_WELL,    "running", "failed",                "stopped",         true, true },
	{ "jailed: kill",          NAME, running,                 kill_it,          VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "stopped",         true, true },
	{ "jailed: delete",        NAME, running,                 delete,           VMM_WELL,      IMAGER_WELL,    "gone",    "stopped failed gone",   "gone",            true, true },
	{ "jailed: set limits",    NAME, running,                 set_limits,       VMM_WELL,      IMAGER_WELL,    "running", "running",               "running",         true, true },
	{ "jailed: adopt",         NAME, running_and_left,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "",               true, true },
	{ "jailed: adopt a probe", NAME, probe_running_and_left,  start_daemon,     VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "",               true, true },
	{ "jailed: recover",       NAME, running_and_lost,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "stopped", "stopped failed",        "",                true, true },
	{ "copied: create",        NAME, nothing,                 create,           VMM_WELL,      IMAGER_WELL,    "created", "gone",                  "gone",            true, true, true },
	{ "copied: create and start", NAME, nothing,              create_with_nat,  VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            true, true, true },
	{ "copied: on QEMU",       NAME, nothing,                 create_with_nat,  VMM_WELL,      IMAGER_WELL,    "running", "gone failed",           "gone",            true, false, true },
	{ "copied: set",           NAME, created,                 set_all,          VMM_WELL,      IMAGER_WELL,    "created", "created",               "created",         true, true, true },
	{ "copied: delete",        NAME, running,                 delete,           VMM_WELL,      IMAGER_WELL,    "gone",    "stopped failed gone",   "gone",            true, true, true },
	{ "copied: adopt",         NAME, running_and_left,        start_daemon,     VMM_WELL,      IMAGER_WELL,    "running", "running stopped failed", "",               true, true, true },
};
/* clang-format on */

const size_t nscenarios = ARRAY_LEN(scenarios);

/* ---- running one ---- */

void run_reconnect(struct run *r)
{
	client_free(r->c);
	r->c = client_open(r->w);
	ASSERT(r->c);
}

void run_begin(struct run *r, const struct scenario *sc, const struct sim_config *sim)
{
	*r = (struct run){ 0 };
	r->w = world_create(&(struct world_config){ .sim = *sim,
						    .disk_image = true,
						    .system = sc->system,
						    .firecracker = sc->firecracker,
						    .copies = sc->copies });
	const bool started = world_start(r->w) && world_settle(r->w);

	ASSERT(started);
	r->c = client_open(r->w);
	/* What a guest is like shows when it is asked for something. */
	r->w->vmm = sc->vmm == VMM_STUBBORN ? sc->vmm : VMM_WELL;
	sc->before(r);
	r->w->vmm = sc->vmm;
	r->w->imager = sc->imager;
	if (r->w->daemon) {
		const bool rests = world_settle(r->w);

		ASSERT(rests);
	}
}

bool run_ask(struct run *r, const struct scenario *sc)
{
	r->call = sc->ask(r);
	if (r->call)
		return client_wait(r->c, r->call);
	r->over = !r->w->failed && (sim_dead(r->w->sim) || world_settle(r->w));
	return r->over;
}

/* All that is left goes, and leaves nothing. */
static const char *remove_all(struct run *r)
{
	struct targets_args all = { .all = true, .force = true };
	struct call *call = client_ask(r->c, METHOD_VM_DELETE, &all, NULL);

	if (!client_wait(r->c, call))
		return "the last delete has no answer";
	if (call_code(call))
		return call_text(call);
	if (!world_settle(r->w))
		return "no rest after the last delete";
	if (r->w->daemon->node->nvms != 0)
		return "a VM is left after all were deleted";
	return world_check(r->w);
}

const char *run_after(struct run *r, const struct scenario *sc)
{
	static char text[1200];
	const char *bad;

	(void)sc;
	if (!r->w->daemon)
		return "no daemon";
	if (!world_settle(r->w))
		return "it does not come to rest";
	bad = world_check(r->w);
	if (bad)
		return bad;
	if (!r->c || r->c->ended)
		run_reconnect(r);
	bad = remove_all(r);
	if (bad)
		(void)snprintf(text, sizeof(text), "removal: %s", bad);
	return bad ? text : NULL;
}

void run_end(struct run *r)
{
	client_free(r->c);
	world_destroy(r->w);
}
