#include "helper/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "helper/name.h"

enum {
	UID_NOBODY = 65534,
	UID_MOST = INT32_MAX, /* some tools read uids as int */
};

#define BRIDGE_SECTION "bridge "
#define VMM_SECTION    "vmm "

struct reader {
	struct helper_conf conf;
	uint32_t seen;  /* mask of helper_keys */
	struct err why; /* of the first line that is wrong */
};

/* ---- values ---- */

static int uid_parse(const char *what, const char *text, uint32_t *ret_number, struct err *e)
{
	uint64_t n;
	const int rc = number_parse(what, text, 0, UID_MOST, &n, e);

	if (rc == 0)
		*ret_number = (uint32_t)n;
	return rc;
}

static int owner_parse(struct helper_conf *conf, const char *text, struct err *e)
{
	const struct passwd *const user = getpwnam(text); /* NOLINT(concurrency-mt-unsafe) */

	if (!user && text[0] != '\0' && text[strspn(text, "0123456789")] != '\0')
		return err_set(e, ERR_HELPER_CONF, "no user \"%s\"", text);
	if (!user) {
		const int rc = uid_parse("uid", text, &conf->owner, e);

		conf->owner_gid = conf->owner;
		return rc;
	}
	conf->owner = user->pw_uid;
	conf->owner_gid = user->pw_gid;
	return 0;
}

static int uid_first_parse(struct helper_conf *conf, const char *text, struct err *e)
{
	return uid_parse("uid", text, &conf->uid_first, e);
}

static int uid_count_parse(struct helper_conf *conf, const char *text, struct err *e)
{
	return uid_parse("count", text, &conf->uid_count, e);
}

/* As openat2() resolves it without symbolic links: "/" and names, each once. */
static int path_parse(const char *text, char out[CONF_PATH_MAX + 1], struct err *e)
{
	const size_t len = strlen(text);
	char framed[CONF_PATH_MAX + 2];

	if (len > CONF_PATH_MAX)
		return err_set(e, ERR_HELPER_CONF, "has %zu bytes, at most %d", len, CONF_PATH_MAX);
	(void)snprintf(framed, sizeof(framed), "%s/", text);
	if (text[0] != '/' || len == 1 || strstr(framed, "//") || strstr(framed, "/./") ||
	    strstr(framed, "/../"))
		return err_set(e, ERR_HELPER_CONF,
			       "\"%s\" is no absolute path without \".\", \"..\" and \"//\"", text);
	memcpy(out, text, len + 1);
	return 0;
}

static int state_dir_parse(struct helper_conf *conf, const char *text, struct err *e)
{
	return path_parse(text, conf->state_dir, e);
}

static int cgroup_parse(struct helper_conf *conf, const char *text, struct err *e)
{
	return path_parse(text, conf->cgroup, e);
}

static const struct {
	const char *name;
	int (*parse)(struct helper_conf *conf, const char *text, struct err *e);
	bool optional;
} helper_keys[] = {
	{ "owner", owner_parse, false },         { "uid_first", uid_first_parse, false },
	{ "uid_count", uid_count_parse, false }, { "state_dir", state_dir_parse, true },
	{ "cgroup", cgroup_parse, true },
};

/* ---- sections ---- */

static int helper_key(struct reader *r, const char *key, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(helper_keys); i++) {
		if (strcmp(helper_keys[i].name, key) != 0)
			continue;
		if ((r->seen & BIT(i)) != 0)
			return err_set(e, ERR_HELPER_CONF, "given twice");
		r->seen |= (uint32_t)BIT(i);
		return helper_keys[i].parse(&r->conf, value, e);
	}
	return err_set(e, ERR_HELPER_CONF, "unknown key in [helper]");
}

static int cidr_parse(struct conf_bridge *b, const char *text, struct err *e)
{
	const char *const slash = strchr(text, '/');
	char address[INET_ADDRSTRLEN];
	uint64_t prefix = 0;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return err_set(e, ERR_HELPER_CONF,
			       "\"%s\" is no IPv4 address with a prefix, as 10.97.0.1/16", text);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (inet_pton(AF_INET, address, &b->address) != 1)
		return err_set(e, ERR_HELPER_CONF, "\"%s\" is no IPv4 address", address);
	if (number_parse("prefix", slash + 1, CONF_PREFIX_MIN, CONF_PREFIX_MAX, &prefix, e) < 0)
		return -EINVAL;
	b->prefix = (uint32_t)prefix;
	if (!name_is_guest_address(b, ntohl(b->address.s_addr)))
		return err_set(e, ERR_HELPER_CONF, "\"%s\" is the subnet's first or last address",
			       address);
	return 0;
}

static bool overlap(const struct conf_bridge *a, const struct conf_bridge *b)
{
	const uint32_t shorter = a->prefix < b->prefix ? a->prefix : b->prefix;
	const uint32_t mask = ~(UINT32_MAX >> shorter);

	return ((ntohl(a->address.s_addr) ^ ntohl(b->address.s_addr)) & mask) == 0;
}

static int bridge_key(struct reader *r, const char *name, const char *key, const char *value,
		      struct err *e)
{
	struct helper_conf *const conf = &r->conf;
	struct conf_bridge b = { .prefix = 0 };
	int rc;

	rc = name_bridge_check(name, e);
	if (rc < 0)
		return rc;
	if (strcmp(key, "address") != 0)
		return err_set(e, ERR_HELPER_CONF, "unknown key in [bridge %s]", name);
	if (helper_conf_bridge(conf, name))
		return err_set(e, ERR_HELPER_CONF, "given twice");
	if (conf->nbridges == CONF_BRIDGES_MAX)
		return err_set(e, ERR_HELPER_CONF, "more than %d bridges", CONF_BRIDGES_MAX);
	rc = cidr_parse(&b, value, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < conf->nbridges; i++)
		if (overlap(&b, &conf->bridges[i]))
			return err_set(e, ERR_HELPER_CONF, "its subnet is also that of %s",
				       conf->bridges[i].name);
	(void)snprintf(b.name, sizeof(b.name), "%s", name);
	conf->bridges[conf->nbridges++] = b;
	return 0;
}

/* The section is opened by its first key. */
static struct conf_vmm *vmm_section(struct helper_conf *conf, const char *name, struct err *e)
{
	const size_t len = strlen(name);

	for (uint32_t i = 0; i < conf->nvmms; i++)
		if (strcmp(conf->vmms[i].name, name) == 0)
			return &conf->vmms[i];
	if (len == 0 || len > CONF_NAME_MAX ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		(void)err_set(e, ERR_HELPER_CONF, "\"%s\" is no name of 1 to %d of a-z, 0-9 and -",
			      name, CONF_NAME_MAX);
	else if (conf->nvmms == CONF_VMMS_MAX)
		(void)err_set(e, ERR_HELPER_CONF, "more than %d VMMs", CONF_VMMS_MAX);
	else
		memcpy(conf->vmms[conf->nvmms].name, name, len + 1);
	return e->code ? NULL : &conf->vmms[conf->nvmms++];
}

static int vmm_key(struct reader *r, const char *name, const char *key, const char *value,
		   struct err *e)
{
	struct conf_vmm *const v = vmm_section(&r->conf, name, e);
	char *out;

	if (!v)
		return err_errno(e);
	if (strcmp(key, "binary") == 0)
		out = v->binary;
	else if (strcmp(key, "libraries") == 0)
		out = v->libraries;
	else if (strcmp(key, "jailer") == 0)
		out = v->jailer;
	else
		return err_set(e, ERR_HELPER_CONF, "unknown key in [vmm %s]", name);
	if (out[0])
		return err_set(e, ERR_HELPER_CONF, "given twice");
	if (out == v->libraries && strcmp(value, CONF_LIBRARIES) != 0)
		return err_set(e, ERR_HELPER_CONF,
			       "\"%s\": must be " CONF_LIBRARIES ", or not be said", value);
	return path_parse(value, out, e);
}

/* inih's handler: 0 makes it remember the line. */
static int take_line(void *arg, const char *section, const char *key, const char *value)
{
	struct reader *const r = arg;
	struct err e = { 0 };
	int rc;

	if (r->why.code)
		return 1; /* the first one is told */
	if (strcmp(section, "helper") == 0)
		rc = helper_key(r, key, value, &e);
	else if (strncmp(section, BRIDGE_SECTION, strlen(BRIDGE_SECTION)) == 0)
		rc = bridge_key(r, section + strlen(BRIDGE_SECTION), key, value, &e);
	else if (strncmp(section, VMM_SECTION, strlen(VMM_SECTION)) == 0)
		rc = vmm_key(r, section + strlen(VMM_SECTION), key, value, &e);
	else
		rc = err_set(&e, ERR_HELPER_CONF, "in the unknown section [%s]", section);
	if (rc == 0)
		return 1;
	r->why = e;
	r->why.code = ERR_HELPER_CONF;
	err_ctx(&r->why, "%s", key);
	return 0;
}

/* ---- the whole ---- */

static int whole_check(const struct reader *r, struct err *e)
{
	const struct helper_conf *const c = &r->conf;
	const uint64_t last = (uint64_t)c->uid_first + c->uid_count; /* the tools' */

	for (size_t i = 0; i < ARRAY_LEN(helper_keys); i++)
		if ((r->seen & BIT(i)) == 0 && !helper_keys[i].optional)
			return err_set(e, ERR_HELPER_CONF, "[helper] %s: missing",
				       helper_keys[i].name);
	for (uint32_t i = 0; i < c->nvmms; i++)
		if (!c->vmms[i].binary[0])
			return err_set(e, ERR_HELPER_CONF, "[vmm %s] binary: missing",
				       c->vmms[i].name);
	if (c->uid_count == 0 || c->uid_count > HELPER_SLOT_MAX + 1)
		return err_set(e, ERR_HELPER_CONF, "uid_count: must be 1..%d", HELPER_SLOT_MAX + 1);
	if (c->uid_first == 0 || last > UID_MOST)
		return err_set(e, ERR_HELPER_CONF, "uid_first: the range must lie in 1..%d",
			       UID_MOST);
	if (c->owner >= c->uid_first && c->owner <= last)
		return err_set(e, ERR_HELPER_CONF, "uid_first: the range holds the owner's uid %u",
			       c->owner);
	if (c->uid_first <= UID_NOBODY && last >= UID_NOBODY)
		return err_set(e, ERR_HELPER_CONF, "uid_first: the range holds nobody's uid %d",
			       UID_NOBODY);
	return 0;
}

static int file_check(int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_HELPER_CONF, "fstat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_HELPER_CONF, "is no regular file");
	if (st.st_uid != 0)
		return err_set(e, ERR_HELPER_CONF, "belongs to uid %u, must be root's", st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(e, ERR_HELPER_CONF,
			       "may be written by others than root (mode %04o): chmod go-w",
			       st.st_mode & 07777U);
	return 0;
}

static int stream_read(FILE *f, struct helper_conf *ret_conf, struct err *e)
{
	struct reader r = { .conf = { .state_dir = HELPER_STATE_DIR, .cgroup = HELPER_CGROUP } };
	const int line = ini_parse_file(f, take_line, &r);
	int rc;

	if (line != 0) {
		if (!r.why.code)
			(void)err_set(&r.why, ERR_HELPER_CONF,
				      "is no section and no \"key = value\"");
		*e = r.why;
		err_ctx(e, "line %d", line);
		return err_errno(e);
	}
	rc = whole_check(&r, e);
	if (rc == 0)
		*ret_conf = r.conf;
	return rc;
}

int helper_conf_load(const char *path, struct helper_conf *ret_conf, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	CLEANUP_FILE FILE *f = NULL;
	int rc;

	if (fd < 0)
		return err_sys(e, ERR_HELPER_CONF, "%s", path);
	rc = file_check(fd, e);
	if (rc == 0) {
		f = fdopen(fd, "re");
		if (!f)
			return err_sys(e, ERR_HOST_MEMORY, "%s", path);
		(void)take_fd(&fd); /* f's now */
		rc = stream_read(f, ret_conf, e);
	}
	if (rc < 0)
		err_ctx(e, "%s", path);
	return rc;
}

const struct conf_bridge *helper_conf_bridge(const struct helper_conf *conf, const char *name)
{
	for (uint32_t i = 0; i < conf->nbridges; i++)
		if (strcmp(conf->bridges[i].name, name) == 0)
			return &conf->bridges[i];
	return NULL;
}

uid_t helper_conf_tools_uid(const struct helper_conf *conf)
{
	return conf->uid_first + conf->uid_count;
}
