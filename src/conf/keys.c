/* keys.c - the table of settings, and one value: from text, to text, compared, copied. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "conf/conf.h"

const char *const conf_vmms[] = { "auto", "firecracker", "qemu", "null", NULL };
const char *const conf_log_levels[] = { "err", "warning", "notice", "info", "debug", NULL };
static const char *const accels[] = { "auto", "kvm", "tcg", NULL };
static const char *const disks[] = { "auto", "dm-snapshot", "reflink", "copy", NULL };
static const char *const networks[] = { "auto", "passt", "user", NULL };
static const char *const answers[] = { "no", "yes", NULL };
static const char *const cgroups[] = { "auto", "none", NULL };
static const char *const colors[] = { "auto", "never", NULL };

#define ROW(sym, section_, name_, kind_, member, min_, max_, words_, env_, live_, cli_, fallback_, \
	    doc_)                                                                                  \
	[CONF_##sym] = { .section = (section_),                                                    \
			 .name = (name_),                                                          \
			 .kind = CONF_KIND_##kind_,                                                \
			 .offset = offsetof(struct conf, member),                                  \
			 .size = sizeof(((struct conf *)0)->member),                               \
			 .min = (min_),                                                            \
			 .max = (max_),                                                            \
			 .words = (words_),                                                        \
			 .env = (env_),                                                            \
			 .live = (live_),                                                          \
			 .cli = (cli_),                                                            \
			 .fallback = (fallback_),                                                  \
			 .doc = (doc_) }

enum {
	LIVE = true,
	START = false, /* the next start of the daemon takes it */
	CLI = true,
	DAEMON = false,
};

/* clang-format off */
const struct conf_row conf_rows[CONF_NKEYS] = {
	ROW(VCPU,       "defaults", "vcpu",       U32,      vcpu,         1, VCPU_MAX, NULL, "BANGER_VCPU", LIVE, DAEMON,
	    "a quarter of the host's CPUs, from 1 to 4; 2 where they cannot be counted",
	    "Virtual CPUs of a new VM."),
	ROW(MEMORY,     "defaults", "memory",     SIZE,     memory_bytes, MEMORY_MIN_BYTES, MEMORY_MAX_BYTES, NULL, "BANGER_MEMORY", LIVE, DAEMON,
	    "an eighth of the host's memory, from 256MiB to 8GiB; 2GiB where it cannot be told",
	    "Memory of a new VM."),
	ROW(DISK,       "defaults", "disk",       SIZE,     disk_bytes,   DISK_MIN_BYTES, DISK_MAX_BYTES, NULL, "BANGER_DISK", LIVE, DAEMON,
	    "8GiB",
	    "Size of a new VM's root disk. It takes what is written to it, not more; an image that is larger counts."),
	ROW(IMAGE,      "defaults", "image",      NAME,     image,        0, 0, NULL, "BANGER_IMAGE", LIVE, DAEMON,
	    "the newest image",
	    "Image of a new VM."),
	ROW(KERNEL,     "defaults", "kernel",     NAME,     kernel,       0, 0, NULL, "BANGER_KERNEL", LIVE, DAEMON,
	    "the image's, else the newest kernel",
	    "Kernel of a new VM, where its image names none."),
	ROW(VMM,        "defaults", "vmm",        WORD,     vmm,          0, 0, conf_vmms, "BANGER_VMM", LIVE, DAEMON,
	    "auto",
	    "Virtual machine monitor of a new VM; `auto` takes Firecracker where the guest has all it needs there and KVM is fast, else QEMU. `banger doctor` says which, and why."),
	ROW(STARTS_MAX, "limits",   "starts_max", U32,      starts_max,   1, STARTS_LIMIT, NULL, "BANGER_STARTS_MAX", LIVE, DAEMON,
	    "twice the host's CPUs; 4 where they cannot be counted",
	    "VMs that may be starting at once, or twice as many of Firecracker's; more wait their turn. Beyond twice the CPUs starts only take longer."),
	ROW(VMS_MAX,    "limits",   "vms_max",    U32,      vms_max,      1, VMS_LIMIT, NULL, "BANGER_VMS_MAX", LIVE, DAEMON,
	    "16384",
	    "VMs that may exist, also those that do not run."),
	ROW(OPS_KEPT,   "limits",   "ops_kept",   U32,      ops_kept,     100, OPS_LIMIT, NULL, "BANGER_OPS_KEPT", LIVE, DAEMON,
	    "20000",
	    "Finished operations that are remembered, for `banger op show` and so that an operation sent twice is done once."),
	ROW(CGROUP,     "limits",   "cgroup",     PATH,     cgroup,       0, 0, cgroups, "BANGER_CGROUP", START, DAEMON,
	    "auto",
	    "Control group (version 2) below which each VM has one of its own, with limits of memory, CPU and processes: its path, `auto` for the daemon's own where that is delegated to it, or `none` for no limits. In system mode the root helper makes it, and only `none` counts."),
	ROW(BOOT,       "timeouts", "boot",       DURATION, boot_ms,      0, 0, NULL, "BANGER_BOOT_TIMEOUT", LIVE, DAEMON,
	    "2m",
	    "How long a guest may take to come up, where --timeout does not say."),
	ROW(STOP,       "timeouts", "stop",       DURATION, stop_ms,      0, 0, NULL, "BANGER_STOP_TIMEOUT", LIVE, DAEMON,
	    "10s",
	    "How long a guest may take to power off before it is killed, where --timeout does not say."),
	ROW(QEMU,       "paths",    "qemu",       PATH,     qemu,         0, 0, NULL, "BANGER_QEMU", LIVE, DAEMON,
	    "qemu-system-x86_64 in /usr/local/bin, /usr/bin or /bin",
	    "The QEMU to run."),
	ROW(FIRECRACKER,"paths",    "firecracker",PATH,     firecracker,  0, 0, NULL, "BANGER_FIRECRACKER", START, DAEMON,
	    "firecracker in PATH, /usr/local/bin, /usr/bin or /bin",
	    "The Firecracker to run: of version 1.5 to 1.16, but not 1.16.0."),
	ROW(LIBEXEC,    "paths",    "libexec",    PATH,     libexec_dir,  0, 0, NULL, "BANGER_LIBEXEC_DIR", START, DAEMON,
	    "libexec/banger of the installation",
	    "Where banger-imager and the guest's programs are."),
	ROW(HELPER,     "paths",    "helper",     PATH,     helper_socket, 0, 0, NULL, "BANGER_HELPER", START, DAEMON,
	    "/run/banger-root/bangerd-root.sock",
	    "The socket of the root helper, which the daemon of the system asks for what only root may do. A session has none."),
	ROW(PASST,      "paths",    "passt",      PATH,     passt,        0, 0, NULL, "BANGER_PASST", LIVE, DAEMON,
	    "passt in /usr/local/bin, /usr/bin or /bin",
	    "The passt to run, where `network = passt`."),
	ROW(ACCEL,      "vmm",      "accel",      WORD,     accel,        0, 0, accels, "BANGER_ACCEL", START, DAEMON,
	    "auto",
	    "How guests are run: by KVM, by emulation (`tcg`), or by whichever is faster on this host, which is measured."),
	ROW(NETWORK,    "vmm",      "network",    WORD,     network,      0, 0, networks, "BANGER_NETWORK", LIVE, DAEMON,
	    "auto",
	    "Network of VMs without root: `auto`, a process of banger's beside each VM; `passt`, that instead, in QEMU only: the passt of Debian 12 may lose the end of a short answer from a published port; `user`, QEMU's own, where a VM runs on it. In system mode VMs have interfaces of their own."),
	ROW(ROOT_DISK,  "vmm",      "root_disk",  WORD,     root_disk,    0, 0, disks, "BANGER_ROOT_DISK", LIVE, DAEMON,
	    "auto",
	    "How the root disk of a new VM is made in system mode: `dm-snapshot`, over its image and as large, by device-mapper; `reflink`, a file that shares the image's blocks, where the file system of the state directory can; `copy`, of what the image has of data. `auto` takes the first that this host has. A session's VMs have layers over their image."),
	ROW(HOST_LOOPBACK, "vmm",   "host_loopback", WORD,  host_loopback, 0, 0, answers, "BANGER_HOST_LOOPBACK", LIVE, DAEMON,
	    "no",
	    "Whether VMs without root reach what listens on the host's loopback addresses, as 10.0.2.2. In QEMU's own network (`network = user`) they always do."),
	ROW(LOG_LEVEL,  "log",      "level",      WORD,     log_level,    0, 0, conf_log_levels, "BANGER_LOG_LEVEL", LIVE, DAEMON,
	    "info",
	    "The least important lines that are logged."),
	ROW(COLOR,      "cli",      "color",      WORD,     color,        0, 0, colors, "BANGER_COLOR", LIVE, CLI,
	    "auto",
	    "Colour and live displays on a terminal; `never` is as --no-color always."),
	ROW(DAEMON,     "cli",      "daemon",     PATH,     daemon,       0, 0, NULL, "BANGER_DAEMON", LIVE, CLI,
	    "bangerd beside banger, in its libexec directory, or in PATH",
	    "The program to start as the daemon."),
};
/* clang-format on */

static const char *const source_names[] = {
	[CONF_BUILT_IN] = "built in",  [CONF_HOST] = "host",
	[CONF_FROM_FILE] = "file",     [CONF_FROM_ENVIRONMENT] = "environment",
	[CONF_FROM_OPTION] = "option",
};
static_assert(ARRAY_LEN(source_names) == CONF_NSOURCES, "each source has its name");

const char *conf_source_name(enum conf_source source)
{
	return source_names[source];
}

void conf_key_name(enum conf_key key, char out[CONF_KEY_MAX])
{
	(void)snprintf(out, CONF_KEY_MAX, "%s.%s", conf_rows[key].section, conf_rows[key].name);
}

void conf_where(const struct conf *c, enum conf_key key, char *out, size_t size)
{
	const struct conf_origin *o = &c->origins[key];

	switch (o->source) {
	case CONF_FROM_FILE:
		(void)snprintf(out, size, "%s:%u", c->files[o->file], o->line);
		break;
	case CONF_FROM_ENVIRONMENT:
		(void)snprintf(out, size, "%s", conf_rows[key].env);
		break;
	case CONF_HOST:
	case CONF_BUILT_IN:
		(void)snprintf(out, size, "%s", conf_rows[key].fallback);
		break;
	case CONF_FROM_OPTION:
	case CONF_NSOURCES:
		out[0] = '\0';
		break;
	}
}

static void *member_of(struct conf *c, enum conf_key key)
{
	return (char *)c + conf_rows[key].offset;
}

static const void *member(const struct conf *c, enum conf_key key)
{
	return (const char *)c + conf_rows[key].offset;
}

bool conf_equal(const struct conf *a, const struct conf *b, enum conf_key key)
{
	char left[CONF_TEXT_MAX];
	char right[CONF_TEXT_MAX];

	conf_text(a, key, left);
	conf_text(b, key, right);
	return strcmp(left, right) == 0;
}

void conf_copy(struct conf *to, const struct conf *from, enum conf_key key)
{
	memcpy(member_of(to, key), member(from, key), conf_rows[key].size);
	to->origins[key] = from->origins[key];
}

/* ---- to text ---- */

static void size_text(uint64_t bytes, char out[CONF_TEXT_MAX])
{
	const bool whole = bytes % (UINT64_C(1) << 30) == 0;

	(void)snprintf(out, CONF_TEXT_MAX, "%llu%s",
		       (unsigned long long)(bytes >> (whole ? 30 : 20)), whole ? "GiB" : "MiB");
}

static void duration_text(uint32_t ms, char out[CONF_TEXT_MAX])
{
	if (ms % 60000 == 0)
		(void)snprintf(out, CONF_TEXT_MAX, "%um", ms / 60000);
	else if (ms % 1000 == 0)
		(void)snprintf(out, CONF_TEXT_MAX, "%us", ms / 1000);
	else
		(void)snprintf(out, CONF_TEXT_MAX, "%ums", ms);
}

void conf_text(const struct conf *c, enum conf_key key, char out[CONF_TEXT_MAX])
{
	const void *value = member(c, key);

	switch (conf_rows[key].kind) {
	case CONF_KIND_U32:
		(void)snprintf(out, CONF_TEXT_MAX, "%u", *(const uint32_t *)value);
		break;
	case CONF_KIND_SIZE:
		size_text(*(const uint64_t *)value, out);
		break;
	case CONF_KIND_DURATION:
		duration_text(*(const uint32_t *)value, out);
		break;
	case CONF_KIND_WORD:
		(void)snprintf(out, CONF_TEXT_MAX, "%s",
			       *(const char *)value ? (const char *)value : "auto");
		break;
	case CONF_KIND_NAME:
	case CONF_KIND_PATH:
		(void)snprintf(out, CONF_TEXT_MAX, "%s",
			       *(const char *)value || !conf_rows[key].words ? (const char *)value
									     : "auto");
		break;
	}
}

/* ---- from text ---- */

static int word_set(char *to, const char *what, const char *text, const char *const *words,
		    struct err *e)
{
	const int rc = suggest_check(what, words, text, e);

	if (rc == 0)
		(void)snprintf(to, CONF_WORD_MAX, "%s", strcmp(text, "auto") == 0 ? "" : text);
	return rc;
}

static int path_set(char *to, const char *what, const char *text, const char *const *words,
		    struct err *e)
{
	if (words && text[0] && text[0] != '/')
		return word_set(to, what, text, words, e);
	if (text[0] && text[0] != '/')
		return err_set(e, ERR_BAD_REQUEST, "%s \"%.80s\" is not an absolute path", what,
			       text);
	if (strlen(text) > CONF_DIR_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%.40s...\" is longer than %d bytes", what,
			       text, CONF_DIR_MAX);
	(void)snprintf(to, CONF_PATH_MAX, "%s", text);
	return 0;
}

static int name_set(char *to, const char *what, const char *text, struct err *e)
{
	const int rc = text[0] ? object_name_check(what, text, e) : 0;

	if (rc == 0)
		(void)snprintf(to, OBJECT_NAME_MAX + 1, "%s", text);
	return rc;
}

int conf_set(struct conf *c, enum conf_key key, const char *text, struct err *e)
{
	const struct conf_row *row = &conf_rows[key];
	void *to = member_of(c, key);
	char what[CONF_KEY_MAX];
	uint64_t n = 0;
	int rc = 0;

	conf_key_name(key, what);
	switch (row->kind) {
	case CONF_KIND_U32:
		rc = number_parse(what, text, row->min, row->max, &n, e);
		if (rc == 0)
			*(uint32_t *)to = (uint32_t)n;
		break;
	case CONF_KIND_SIZE:
		rc = size_parse(what, text, row->min, row->max, to, e);
		break;
	case CONF_KIND_DURATION:
		rc = duration_parse(what, text, to, e);
		break;
	case CONF_KIND_WORD:
		rc = word_set(to, what, text, row->words, e);
		break;
	case CONF_KIND_NAME:
		rc = name_set(to, what, text, e);
		break;
	case CONF_KIND_PATH:
		rc = path_set(to, what, text, row->words, e);
		break;
	}
	return rc;
}
