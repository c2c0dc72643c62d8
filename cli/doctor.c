/* doctor.c - `doctor`: reads this host, changes nothing, starts nothing, says what to do.
 *
 * One row per check; a row is PASS, WARN (works, but not as well as it could) or FAIL.
 */
#include "doctor.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "command.h"
#include "connect.h"
#include "human.h"
#include "report.h"
#include "session.h"
#include "settings.h"

static const char *const verdicts[] = { "PASS", "WARN", "FAIL" };
static_assert(ARRAY_LEN(verdicts) == NVERDICTS, "one name per verdict");
static const char *const colors[] = { "\033[32m", "\033[33m", "\033[31m" };
static_assert(ARRAY_LEN(colors) == NVERDICTS, "one colour per verdict");

struct row {
	char check[32];
	char verdict[8];
	char found[ERR_TEXT_MAX];
	char advice[ERR_TEXT_MAX];
	uint64_t vms;
};

static const struct field row_fields[] = {
	FIELD(struct row, check, FIELD_STR, true, 0, 0, "what was looked at"),
	FIELD(struct row, verdict, FIELD_STR, true, 0, 0, "PASS, WARN or FAIL"),
	FIELD(struct row, found, FIELD_TEXT, true, 0, 0, "what was found"),
	FIELD(struct row, advice, FIELD_TEXT, true, 0, 0, "what to do, or empty"),
	FIELD(struct row, vms, FIELD_U64, false, 0, 0, "of a limit: how many VMs fit"),
};
static const struct schema row_schema = SCHEMA("check", struct row, row_fields);

struct report {
	const struct options *o;
	uint32_t count[NVERDICTS];
	uint32_t n;
	int status;
};

static void put_row(const struct row *row, enum verdict verdict, bool colored)
{
	(void)printf("%s%s%s  %-18s %s\n", colored ? colors[verdict] : "", row->verdict,
		     colored ? "\033[0m" : "", row->check, row->found);
	if (row->advice[0])
		(void)printf("      %-18s -> %s\n", "", row->advice);
}

static void put(struct report *r, const char *name, const struct finding *f)
{
	const struct options *o = r->o;
	const bool colored = !o->no_color && !getenv("NO_COLOR") && isatty(STDOUT_FILENO);
	struct row row = { .vms = f->vms == UINT64_MAX ? 0 : f->vms };
	struct err e = { 0 };

	TEXT_SET(row.check, name);
	TEXT_SET(row.verdict, verdicts[f->verdict]);
	TEXT_SET(row.found, f->found);
	TEXT_SET(row.advice, f->advice);
	r->count[f->verdict]++;
	if (o->json) {
		(void)fputs(r->n ? ",\n" : "[", stdout);
		if (report_json_value(&row_schema, &row, &e) < 0)
			r->status = STATUS_FAILED;
	} else if (!o->quiet || f->verdict == FAIL) {
		put_row(&row, f->verdict, colored);
	}
	r->n++;
}

static void vms_text(uint64_t vms, char out[HUMAN_MAX])
{
	if (vms == UINT64_MAX)
		(void)snprintf(out, HUMAN_MAX, "any number of");
	else
		(void)snprintf(out, HUMAN_MAX, "%llu", (unsigned long long)vms);
}

static void put_limit(struct report *r, const struct fleet_limit *l, uint32_t wanted)
{
	struct finding f = { .vms = l->vms };
	char vms[HUMAN_MAX];
	const bool fits = l->vms >= wanted;

	vms_text(l->vms, vms);
	find(&f,
	     fits      ? PASS
	     : l->soft ? WARN
		       : FAIL,
	     fits ? "" : l->advice, "%s VMs: %.180s", vms, l->found);
	put(r, l->name, &f);
}

/* Each limit, then whether so many fit and what stops them first. */
static void put_fleet(struct report *r, const struct doctor *d)
{
	struct fleet_limit limits[FLEET_LIMITS];
	const struct fleet_vm vm = fleet_vm_of(d);
	const uint32_t wanted = d->o->fleet;
	const uint32_t n = fleet_limits(d, &vm, limits);
	const struct fleet_limit *hard = fleet_first(limits, n, false);
	const struct fleet_limit *soft = fleet_first(limits, n, true);
	struct finding f = { .vms = hard->vms };
	char memory[HUMAN_MAX];

	for (uint32_t i = 0; i < n; i++)
		put_limit(r, &limits[i], wanted);
	human_bytes(vm.memory_bytes, memory);
	if (hard->vms < wanted)
		find(&f, FAIL, hard->advice, "%llu of %u VMs would fit; the first limit is: %s",
		     (unsigned long long)hard->vms, wanted, hard->name);
	else if (soft->vms < wanted)
		find(&f, WARN, soft->advice,
		     "%u VMs of %s fit while they do not all use what they are given; %llu may: %s",
		     wanted, memory, (unsigned long long)soft->vms, soft->name);
	else
		find(&f, PASS, "", "%u VM%s of %u vcpu and %s would fit", wanted,
		     wanted == 1 ? "" : "s", vm.vcpu, memory);
	put(r, "fleet", &f);
}

static void put_all(struct report *r, const struct doctor *d)
{
	for (uint32_t i = 0; i < doctor_nchecks; i++) {
		struct finding f = { .advice = "" };

		if (d->o->fleet && strcmp(doctor_checks[i].name, "fleet") == 0)
			continue;
		doctor_checks[i].run(d, &f);
		put(r, doctor_checks[i].name, &f);
	}
	if (d->o->fleet)
		put_fleet(r, d);
	if (d->o->json)
		(void)fputs("]\n", stdout);
	else if (r->count[FAIL] + r->count[WARN] > 0)
		report_note(d->o, "%u of %u checks failed, %u with a warning", r->count[FAIL], r->n,
			    r->count[WARN]);
}

int doctor_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { 0 };
	static struct conf conf; /* too large for the stack, all three */
	static struct conf_problems problems;
	static struct doctor d;
	struct report r = { .o = o };
	struct err e = { 0 };

	d = (struct doctor){ .o = o, .conf = &conf, .problems = &problems };
	if (connect_paths(o, &d.paths, &d.system, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	IGNORE(settings_read(o, &conf, &problems, NULL) < 0); /* a row says what is wrong */
	if (session_open(&s, o, false, &d.no_daemon) == 0) {
		if (session_call(&s, &c, METHOD_INFO, &(struct info_args){ .measure = true }) < 0)
			d.no_daemon = c.err;
		d.info = c.result;
	}
	session_close(&s);
	put_all(&r, &d);
	return r.count[FAIL] ? STATUS_FAILED : r.status;
}
