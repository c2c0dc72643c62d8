#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "parse.h"
#include "values.h"

#define ROW(sym, letter_, name_, kind_, arg_, member, min_, max_, doc_)                            \
	[OPT_##sym] = { .letter = (letter_),                                                       \
			.name = (name_),                                                           \
			.kind = OPTION_##kind_,                                                    \
			.arg = (arg_),                                                             \
			.offset = offsetof(struct options, member),                                \
			.min = (min_),                                                             \
			.max = (max_),                                                             \
			.doc = (doc_) }

/* clang-format off */
const struct option_row option_rows[OPT_NOPTIONS] = {
	/*  symbol      letter name        kind      value        member          min max  what it does */
	ROW(HELP,        'h', "help",        FLAG,     NULL,        help,           0, 0, "show help"),
	ROW(VERSION,     'V', "version",     FLAG,     NULL,        version,        0, 0, "show the version"),
	ROW(JSON,         0,  "json",        FLAG,     NULL,        json,           0, 0, "results on stdout and errors on stderr as JSON"),
	ROW(QUIET,       'q', "quiet",       FLAG,     NULL,        quiet,          0, 0, "only what was asked for: ids instead of tables, no progress"),
	ROW(SOCKET,       0,  "socket",      TEXT,     "PATH",      socket,         0, 0, "the daemon's socket; none is started then"),
	ROW(SYSTEM,       0,  "system",      FLAG,     NULL,        system,         0, 0, "speak to the daemon of the system (also: BANGER_SYSTEM=1)"),
	ROW(SESSION,      0,  "session",     FLAG,     NULL,        session,        0, 0, "speak to the daemon of your own session (also: BANGER_SYSTEM=0)"),
	ROW(CONFIG,       0,  "config",      TEXT,     "FILE",      config,         0, 0, "settings to read instead of banger.conf's usual places; for a daemon that is started, too"),
	ROW(OP_ID,        0,  "op-id",       OP_ID,    "ULID",      op_id,          0, 0, "idempotency key: sent twice, it is done once"),
	ROW(NO_COLOR,     0,  "no-color",    FLAG,     NULL,        no_color,       0, 0, "no colour and no live display (also: NO_COLOR)"),
	ROW(NAME,         0,  "name",        TEXT,     "NAME",      name,           0, 0, "its name"),
	ROW(IMAGE,        0,  "image",       TEXT,     "IMAGE",     image,          0, 0, "root file system; see `banger image list`"),
	ROW(KERNEL,       0,  "kernel",      TEXT,     "KERNEL",    kernel,         0, 0, "kernel; see `banger kernel list`"),
	ROW(PULL,         0,  "pull",        TEXT,     "WHEN",      pull,           0, 0, "make an image or kernel that is not here of Debian's packages: missing (unless said), never"),
	ROW(VMM,          0,  "vmm",         TEXT,     "VMM",       vmm,            0, 0, "virtual machine monitor: firecracker, qemu, null"),
	ROW(VCPU,         0,  "vcpu",        U32,      "N",         vcpu,           1, VCPU_MAX, "virtual CPUs"),
	ROW(MEMORY,      'm', "memory",      SIZE,     "SIZE",      memory_bytes,   MEMORY_MIN_BYTES, MEMORY_MAX_BYTES, "memory: 4G, 4GiB, 512M, 512MiB, or a number of MiB"),
	ROW(DISK,         0,  "disk",        SIZE,     "SIZE",      disk_bytes,     DISK_MIN_BYTES, DISK_MAX_BYTES, "size of the root disk, written as --memory is"),
	ROW(DISK_RATE,    0,  "disk-rate",   SIZE,     "SIZE",      disk_rate,      RATE_MIN_BYTES, RATE_MAX_BYTES, "bytes a second that the disk may read and write: 100M"),
	ROW(DISK_IOPS,    0,  "disk-iops",   U32,      "N",         disk_iops,      1, IOPS_MAX, "requests a second to the disk"),
	ROW(NET_RATE,     0,  "net-rate",    SIZE,     "SIZE",      net_rate,       RATE_MIN_BYTES, RATE_MAX_BYTES, "bytes a second that the network may carry each way (Firecracker in system mode)"),
	ROW(LABEL,       'l', "label",       PAIRS,    "KEY=VALUE", labels,         0, LABELS_MAX, "label to set, or to select by; may be repeated"),
	ROW(UNLABEL,      0,  "unlabel",     WORDS,    "KEY",       unlabels,       0, LABELS_MAX, "label to take away; may be repeated"),
	ROW(UNLIMIT,      0,  "unlimit",     WORDS,    "LIMIT",     unlimits,       0, LIMITS_MAX, "limit to take away: disk-rate, disk-iops, net-rate; may be repeated"),
	ROW(ENV,         'e', "env",         PAIRS,    "VAR=VALUE", env,            0, ENV_MAX, "environment of commands in the guest; may be repeated"),
	ROW(PUBLISH,     'p', "publish",     PUBLISH,  "HOST:GUEST", publish,       0, PUBLISH_MAX, "port of 127.0.0.1 that reaches a port of the guest; may be repeated"),
	ROW(NAT,          0,  "nat",         FLAG,     NULL,        nat,            0, 0, "a route to the outside (system mode)"),
	ROW(NO_NAT,       0,  "no-nat",      FLAG,     NULL,        no_nat,         0, 0, "no route to the outside any more (system mode)"),
	ROW(COUNT,       'n', "count",       U32,      "N",         count,          1, COUNT_MAX, "so many VMs; names get -1 to -N"),
	ROW(RM,           0,  "rm",          FLAG,     NULL,        rm,             0, 0, "delete the VM after the command, whatever its status"),
	ROW(DETACH,      'd', "detach",      FLAG,     NULL,        detach,         0, 0, "leave the VM running and return once it is up"),
	ROW(NO_START,     0,  "no-start",    FLAG,     NULL,        no_start,       0, 0, "create only"),
	ROW(TIMEOUT,      0,  "timeout",     DURATION, "DURATION",  timeout_ms,     0, 0, "how long to wait: 500ms, 10s, 2m"),
	ROW(ALL,         'a', "all",         FLAG,     NULL,        all,            0, 0, "all VMs, also those that do not run"),
	ROW(FORCE,       'f', "force",       FLAG,     NULL,        force,          0, 0, "kill instead of asking; replace what exists"),
	ROW(SIGNAL,      's', "signal",      SIGNAL,   "SIGNAL",    signo,          0, 0, "signal for the VMM; KILL unless said"),
	ROW(STATE,        0,  "state",       TEXT,     "STATE",     state,          0, 0, "state to wait for; stopped (or gone) unless said"),
	ROW(TRACE,        0,  "trace",       FLAG,     NULL,        trace,          0, 0, "as trace events, for ui.perfetto.dev or about:tracing"),
	ROW(FORMAT,       0,  "format",      TEXT,     "FORMAT",    format,         0, 0, "how a row is written: '{{.NAME}}\\t{{.STATE}}', 'table {{.NAME}}', json"),
	ROW(TYPE,         0,  "type",        WORDS,    "TYPE",      types,          0, WATCH_TYPES_MAX, "of events: vm, op, image, kernel; may be repeated"),
	ROW(FOLLOW,      'f', "follow",      FLAG,     NULL,        follow,         0, 0, "go on with what is written, until the VM is deleted"),
	ROW(TAIL,        'n', "tail",        TEXT,     "LINES",     tail_lines,     0, 0, "begin with the last LINES lines, or with \"all\""),
	ROW(VMM_LOG,      0,  "vmm",         FLAG,     NULL,        vmm_log,        0, 0, "the log of the VMM instead of the console's"),
	ROW(READ_ONLY,    0,  "read-only",   FLAG,     NULL,        read_only,      0, 0, "watch: pass no input"),
	ROW(ESCAPE,      'e', "escape",      TEXT,     "CHAR",      escape,         0, 0, "key that leaves with a . after it; \"none\": no key does"),
	ROW(NO_PROBE,     0,  "no-probe",    FLAG,     NULL,        no_probe,       0, 0, "do not ask published ports whether they speak HTTP"),
	ROW(NO_STREAM,    0,  "no-stream",   FLAG,     NULL,        no_stream,      0, 0, "one round, then end"),
	ROW(INTERVAL,     0,  "interval",    DURATION, "DURATION",  interval_ms,    0, 0, "between two rounds; 1s unless said"),
	ROW(FLEET,        0,  "fleet",       U32,      "N",         fleet,          1, FLEET_MAX, "say for each limit whether N VMs would fit"),
	ROW(INTERACTIVE, 'i', "interactive", FLAG,     NULL,        interactive,    0, 0, "pass standard input, even from a terminal"),
	ROW(TTY,         't', "tty",         FLAG,     NULL,        tty,            0, 0, "give the command a terminal"),
	ROW(NO_STDIN,     0,  "no-stdin",    FLAG,     NULL,        no_stdin,       0, 0, "do not pass standard input"),
	ROW(NO_PREFIX,    0,  "no-prefix",   FLAG,     NULL,        no_prefix,      0, 0, "of several VMs, do not begin each line with the VM's name"),
	ROW(CWD,         'w', "workdir",     TEXT,     "DIR",       cwd,            0, 0, "working directory in the guest"),
	ROW(ARCHIVE,     'a', "archive",     FLAG,     NULL,        archive,        0, 0, "keep owners where that is allowed; the default, and here for whom it is a habit"),
	ROW(FOLLOW_LINK, 'L', "follow-link", FLAG,     NULL,        follow_link,    0, 0, "copy what SRC points to where it is a symbolic link"),
	ROW(NO_OWNER,     0,  "no-owner",    FLAG,     NULL,        no_owner,       0, 0, "files belong to root in a VM, and to you here"),
	ROW(INITRD,       0,  "initrd",      TEXT,     "PATH",      initrd,         0, 0, "initrd of a bare vmlinuz"),
	ROW(MODULES,      0,  "modules",     TEXT,     "DIR",       modules,        0, 0, "directory lib/modules/VERSION of a bare vmlinuz"),
	ROW(PACKAGE,      0,  "package",     WORDS,    "PACKAGE",   packages,       0, 512, "package to install besides the minimal set; may be repeated"),
};
/* clang-format on */

/* The argument vector being read. */
struct reader {
	struct options *o;
	uint64_t allowed;
	int argc;
	char **argv;
	int at;
};

/* A key given again replaces its earlier value, as a shell's assignment does. */
static void pair_drop(struct strv *from, const char *text)
{
	const size_t key = strcspn(text, "=") + 1;

	for (uint32_t i = 0; i < from->n; i++) {
		if (strncmp(from->v[i], text, key) != 0)
			continue;
		free(from->v[i]);
		memmove((void *)(from->v + i), (const void *)(from->v + i + 1),
			(from->n - i) * sizeof(*from->v)); /* with the NULL at the end */
		from->n--;
		return;
	}
}

static int add_pair(const char *what, const struct option_row *row, struct strv *to,
		    const char *text, struct err *e)
{
	const int rc = row->kind == OPTION_PAIRS ? pair_check(what, text, e) : 0;

	if (rc < 0)
		return rc;
	if (row->kind == OPTION_PAIRS)
		pair_drop(to, text);
	if (to->n >= row->max)
		return err_set(e, ERR_BAD_REQUEST, "%s is given more than %llu times", what,
			       (unsigned long long)row->max);
	if (strv_add(to, text) < 0)
		return err_set(e, ERR_HOST_MEMORY, "%s", what);
	return 0;
}

static int add_publish(const char *what, struct seq *to, const char *text, struct err *e)
{
	struct publish *items = to->items;

	if (to->n >= PUBLISH_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s is given more than %d times", what,
			       PUBLISH_MAX);
	if (!items)
		items = calloc(PUBLISH_MAX, sizeof(*items));
	if (!items)
		return err_set(e, ERR_HOST_MEMORY, "%s", what);
	to->items = items;
	const int rc = publish_parse(what, text, &items[to->n], e);
	if (rc == 0)
		to->n++;
	return rc;
}

static int option_set(struct options *o, const struct option_row *row, const char *text,
		      struct err *e)
{
	void *member = (char *)o + row->offset;
	char what[40];
	uint64_t n = 0;
	int rc = 0;

	ASSERT(text || row->kind == OPTION_FLAG);
	(void)snprintf(what, sizeof(what), "--%s", row->name);
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)member = true;
		break;
	case OPTION_TEXT:
		if (text[0] == '\0')
			return err_set(e, ERR_BAD_REQUEST, "%s is empty", what);
		rc = value_check(what, value_kind(row->arg, strlen(row->arg)), text, e);
		if (rc == 0)
			*(const char **)member = text;
		break;
	case OPTION_U32:
		rc = number_parse(what, text, row->min, row->max, &n, e);
		if (rc == 0)
			*(uint32_t *)member = (uint32_t)n;
		break;
	case OPTION_SIZE:
		rc = size_parse(what, text, row->min, row->max, member, e);
		break;
	case OPTION_DURATION:
		rc = duration_parse(what, text, member, e);
		break;
	case OPTION_SIGNAL:
		rc = signal_parse(what, text, member, e);
		break;
	case OPTION_OP_ID:
		if (op_id_parse(text, member) < 0)
			rc = err_set(e, ERR_BAD_REQUEST,
				     "%s \"%s\" is not an op_id (26 characters)", what, text);
		break;
	case OPTION_PAIRS:
	case OPTION_WORDS:
		rc = value_check(what, value_kind(row->arg, strlen(row->arg)), text, e);
		if (rc == 0)
			rc = add_pair(what, row, member, text, e);
		break;
	case OPTION_PUBLISH:
		rc = add_publish(what, member, text, e);
		break;
	}
	return rc;
}

static int option_unknown(const struct reader *r, const char *word, struct err *e)
{
	struct suggest near = { .word = word };

	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		if (r->allowed & BIT(i))
			suggest_offer(&near, option_rows[i].name);
	if (near.best)
		return err_set(e, ERR_BAD_REQUEST, "unknown option --%s; did you mean --%s?", word,
			       near.best);
	return err_set(e, ERR_BAD_REQUEST, "unknown option --%s", word);
}

/* --name, --name=value, --name value */
static int long_read(struct reader *r, struct err *e)
{
	const char *word = r->argv[r->at] + 2;
	const size_t len = strcspn(word, "=");
	const char *value = word[len] == '=' ? word + len + 1 : NULL;

	for (size_t i = 0; i < OPT_NOPTIONS; i++) {
		const struct option_row *row = &option_rows[i];

		if (!(r->allowed & BIT(i)) || strlen(row->name) != len ||
		    strncmp(row->name, word, len) != 0)
			continue;
		if (row->kind == OPTION_FLAG && value)
			return err_set(e, ERR_BAD_REQUEST, "--%s takes no value", row->name);
		if (row->kind != OPTION_FLAG && !value) {
			if (r->at + 1 >= r->argc)
				return err_set(e, ERR_BAD_REQUEST, "--%s needs a %s", row->name,
					       row->arg);
			value = r->argv[++r->at];
		}
		r->at++;
		return option_set(r->o, row, value, e);
	}
	char name[64];
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, word);
	return option_unknown(r, name, e);
}

static const struct option_row *letter_find(const struct reader *r, char letter)
{
	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		if ((r->allowed & BIT(i)) && option_rows[i].letter == letter)
			return &option_rows[i];
	return NULL;
}

/* -x, -xyz, -n5, -n 5 */
static int short_read(struct reader *r, struct err *e)
{
	const char *p = r->argv[r->at] + 1;

	for (; *p; p++) {
		const struct option_row *row = letter_find(r, *p);
		int rc;

		if (!row)
			return err_set(e, ERR_BAD_REQUEST, "unknown option -%c", *p);
		if (row->kind == OPTION_FLAG) {
			rc = option_set(r->o, row, NULL, e);
			if (rc < 0)
				return rc;
			continue;
		}
		const char *value = p[1] ? p + 1 : NULL;
		if (!value && r->at + 1 < r->argc)
			value = r->argv[++r->at];
		if (!value)
			return err_set(e, ERR_BAD_REQUEST, "-%c needs a %s", *p, row->arg);
		r->at++;
		return option_set(r->o, row, value, e);
	}
	r->at++;
	return 0;
}

/* Everything from argv[at] on is the guest's command. */
static void tail_take(struct reader *r)
{
	r->o->tail = r->argv + r->at;
	r->o->ntail = (uint32_t)(r->argc - r->at);
	r->at = r->argc;
}

static int dashes_read(struct reader *r, const struct option_rules *rules, struct err *e)
{
	r->at++;
	if (!rules->tail)
		return err_set(e, ERR_BAD_REQUEST, "no command can be given here with --");
	if (r->at == r->argc)
		return err_set(e, ERR_BAD_REQUEST, "no command after --");
	tail_take(r);
	return 0;
}

static int word_read(struct reader *r, const struct option_rules *rules, struct err *e)
{
	struct options *o = r->o;

	if (o->nargs == rules->max_args && rules->rest) {
		tail_take(r);
		return 0;
	}
	if (o->nargs == rules->max_args)
		return err_set(e, ERR_BAD_REQUEST, "unexpected word \"%s\"%s", r->argv[r->at],
			       rules->tail ? "; a command comes after --" : "");
	/* Words are gathered at the front of argv, over options that were read already. */
	if (o->nargs == 0)
		o->args = r->argv;
	o->args[o->nargs++] = r->argv[r->at++];
	return 0;
}

int options_parse(struct options *o, const struct option_rules *rules, int argc, char **argv,
		  struct err *e)
{
	struct reader r = {
		.o = o, .allowed = rules->allowed | OPTIONS_GLOBAL, .argc = argc, .argv = argv
	};

	while (r.at < r.argc) {
		const char *word = argv[r.at];
		int rc;

		if (strcmp(word, "--") == 0)
			rc = dashes_read(&r, rules, e);
		else if (word[0] == '-' && word[1] == '-')
			rc = long_read(&r, e);
		else if (word[0] == '-' && word[1] != '\0')
			rc = short_read(&r, e);
		else if (rules->first_word)
			break;
		else
			rc = word_read(&r, rules, e);
		if (rc < 0)
			return rc;
	}
	return r.at;
}

void options_fini(struct options *o)
{
	strv_fini(&o->labels);
	strv_fini(&o->unlabels);
	strv_fini(&o->unlimits);
	strv_fini(&o->types);
	strv_fini(&o->env);
	strv_fini(&o->packages);
	free(o->publish.items);
	free(o->config_path);
	free(o->conf);
	o->config_path = NULL;
	o->conf = NULL;
	o->publish = (struct seq){ 0 };
}
