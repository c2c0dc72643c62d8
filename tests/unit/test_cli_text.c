/* test_cli_text.c - what the command line shows: numbers, tables, progress, prefixed lines. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/format.h"
#include "cli/human.h"
#include "cli/progress.h"
#include "cli/sink.h"
#include "cli/table.h"

Test(human, bytes)
{
	static const struct {
		uint64_t n;
		const char *text;
	} rows[] = { { 0, "0 B" },
		     { 1023, "1023 B" },
		     { 1024, "1 KiB" },
		     { UINT64_C(512) << 20, "512 MiB" },
		     { UINT64_C(3) << 29, "1.5 GiB" },
		     { UINT64_MAX, "15.9 EiB" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[HUMAN_MAX];

		human_bytes(rows[i].n, text);
		cr_assert_str_eq(text, rows[i].text);
	}
}

Test(human, durations_and_ages)
{
	char text[HUMAN_MAX];

	human_duration(310, text);
	cr_assert_str_eq(text, "0.3 ms");
	human_duration(31400, text);
	cr_assert_str_eq(text, "31 ms");
	human_duration(2150000, text);
	cr_assert_str_eq(text, "2.1 s");
	human_duration(UINT64_C(185000000), text);
	cr_assert_str_eq(text, "3 min 5 s");
	human_age(0, text);
	cr_assert_str_eq(text, "0s");
	human_age(7200, text);
	cr_assert_str_eq(text, "2h");
	human_age(4 * 86400 + 5, text);
	cr_assert_str_eq(text, "4d");
}

static const struct column columns[] = { { .head = "ID", .drop = 1 },
					 { .head = "NAME", .shrink = true },
					 { .head = "N", .right = true, .drop = 2 } };

static char *printed(unsigned width, const char *name)
{
	const char *const cells[] = { "ab", name, "12" };
	struct table t;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	table_init(&t, columns, ARRAY_LEN(columns));
	cr_assert_eq(table_row(&t, cells, ARRAY_LEN(cells), NULL), 0);
	table_print(&t, f, width);
	table_fini(&t);
	(void)fclose(f);
	return text;
}

Test(table, is_whole_without_a_width)
{
	char *text = printed(0, "a-very-long-name-indeed");

	cr_assert_str_eq(text, "ID  NAME                      N\n"
			       "ab  a-very-long-name-indeed  12\n");
	free(text);
}

Test(table, cuts_the_shrinkable_column_to_fit)
{
	char *text = printed(21, "a-very-long-name-indeed");

	cr_assert_str_eq(text, "ID  NAME            N\n"
			       "ab  a-very-long-…  12\n");
	free(text);
}

Test(table, leaves_columns_out_before_names_cannot_be_read)
{
	char *text = printed(18, "a-very-long-name-indeed");

	cr_assert_str_eq(text, "ID  NAME\n"
			       "ab  a-very-long-n…\n");
	free(text);
	text = printed(13, "a-very-long-name-indeed");
	cr_assert_str_eq(text, "NAME\n"
			       "a-very-long-…\n");
	free(text);
}

Test(table, never_wraps_and_cuts_between_characters)
{
	char *text = printed(5, "äöüßäöüß");

	cr_assert_str_eq(text, "NAME\n"
			       "äöüß…\n");
	free(text);
}

Test(table, shows_no_control_characters)
{
	char *text = printed(0, "a\x1b[31mb");

	cr_assert_not_null(strstr(text, "a?[31mb"), "%s", text);
	free(text);
}

/* ---- --format ---- */

struct part {
	uint32_t n;
};
struct row {
	char name[16];
	struct part part;
	struct strv labels;
	bool on;
};
static const struct field part_fields[] = { FIELD(struct part, n, FIELD_U32, false, 0, 0, "") };
static const struct schema part_schema = SCHEMA("part", struct part, part_fields);
static const struct field row_fields[] = {
	FIELD(struct row, name, FIELD_STR, false, 0, 0, ""),
	FIELD_SUB(struct row, part, FIELD_STRUCT, false, 0, 0, &part_schema, ""),
	FIELD(struct row, labels, FIELD_PAIRS, false, 0, 4, ""),
	FIELD(struct row, on, FIELD_BOOL, false, 0, 0, ""),
};
static const struct schema row_schema = SCHEMA("row", struct row, row_fields);

static char *formatted(const char *format)
{
	static char tier[] = "tier=web";
	static char *labels[] = { tier, NULL };
	const char *const cells[] = { "1 GiB", "x", "12" };
	const struct row row = { "web-1", { 7 }, { labels, 1 }, true };
	struct format f;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	cr_assert_eq(format_init(&f, format, columns, ARRAY_LEN(columns), &row_schema, NULL), 0);
	cr_assert_eq(format_row(&f, cells, &row, out, NULL), 0);
	format_fini(&f);
	(void)fclose(out);
	return text;
}

Test(format, takes_columns_by_their_head_and_fields_by_their_path)
{
	static const struct {
		const char *format, *text;
	} rows[] = {
		{ "{{.ID}}|{{.id}}|{{ .N }}", "1 GiB|1 GiB|12\n" },
		{ "{{.part.n}}\\t{{.on}}\\n-", "7\ttrue\n-\n" },
		{ "{{.labels.tier}}{{.labels.none}}.", "web.\n" },
		{ "{{.labels}} {{.part}}", "{\"tier\":\"web\"} {\"n\":7}\n" },
		{ "no field", "no field\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *text = formatted(rows[i].format);

		cr_assert_str_eq(text, rows[i].text, "%s: %s", rows[i].format, text);
		free(text);
	}
}

Test(format, refuses_what_it_does_not_know)
{
	static const struct {
		const char *format, *why;
	} rows[] = {
		{ "{{.NMAE}}", "did you mean" },          { "{{.part.x}}", "no field \"part.x\"" },
		{ "{{.name.x}}", "no field \"name.x\"" }, { "{{.ID", "has no }}" },
		{ "{{ID}}", "is not {{.FIELD}}" },        { "{{.}}", "is not {{.FIELD}}" },
		{ "table x", "a table of no field" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		struct format f;

		cr_assert_lt(format_init(&f, rows[i].format, columns, ARRAY_LEN(columns),
					 &row_schema, &e),
			     0, "%s", rows[i].format);
		cr_assert_not_null(strstr(e.text, rows[i].why), "%s: %s", rows[i].format, e.text);
	}
}

Test(table, shows_empty_cells)
{
	char *text = printed(0, "");

	cr_assert_not_null(strstr(text, "ab  -     12\n"), "%s", text);
	free(text);
}

Test(progress, row_has_stage_amount_and_message)
{
	struct progress_row row = { .name = "web-1", .phase = "booting" };
	char text[PROGRESS_LINE_MAX];

	progress_row_text(&row, 0, 10000, text);
	cr_assert_str_eq(text, "web-1  booting");
	row = (struct progress_row){ .phase = "copy", .done = 1 << 20, .total = 4 << 20 };
	progress_row_text(&row, 0, 2500000, text);
	cr_assert_str_eq(text, "copy  1 MiB of 4 MiB  2.5 s");
	row.ended_us =
		4100000; /* what has ended says how long it took, and its time stands still */
	progress_row_text(&row, 0, 9900000, text);
	cr_assert_str_eq(text, "copy  4.1 s");
}

Test(progress, names_steps_for_people)
{
	char text[32];

	progress_phase("boot", text, sizeof(text));
	cr_assert_str_eq(text, "booting");
	progress_phase("undo vmm", text, sizeof(text));
	cr_assert_str_eq(text, "undoing");
	progress_phase("something new", text, sizeof(text));
	cr_assert_str_eq(text, "something new");
}

Test(progress, never_fills_a_line_nor_drives_a_terminal)
{
	struct progress_row row = { .name = "web-1", .phase = "boot", .message = "\033[2Jhello" };
	char text[PROGRESS_LINE_MAX];

	progress_row_text(&row, 0, 0, text);
	cr_assert_str_eq(text, "web-1  boot  ?[2Jhello");
	progress_row_text(&row, 10, 0, text);
	cr_assert_eq(strlen(text), 9);
}

Test(progress, bar_counts)
{
	struct progress p = { .expected = 120, .ended = 60, .failed = 10 };
	char text[PROGRESS_LINE_MAX];

	progress_bar_text(&p, 0, 0, text);
	cr_assert_str_eq(text, "[###############...............] 50 of 120 done, 10 failed");
	p = (struct progress){ .expected = 120 };
	progress_bar_text(&p, 40, 3000000, text);
	cr_assert_str_eq(text, "0 of 120 done  3.0 s");
	p = (struct progress){ .expected = 120, .ended = 120 };
	progress_bar_text(&p, 80, 0, text);
	cr_assert_str_eq(text, "[##############################] 120 of 120 done");
	p = (struct progress){ .expected = PROGRESS_UNKNOWN, .ended = 7 };
	progress_bar_text(&p, 80, 0, text);
	cr_assert_str_eq(text, "7 done");
}

Test(lines, are_whole_and_carry_the_name)
{
	static struct lines l = { .name = "web" };
	struct sink s;

	sink_init(&s, -1, 1 << 20);
	cr_assert_eq(lines_add(&l, (const uint8_t *)"on", 2, &s), 0);
	cr_assert_eq(sink_len(&s), 0, "not before its end");
	cr_assert_eq(lines_add(&l, (const uint8_t *)"e\ntwo\nrest", 10, &s), 0);
	cr_assert_eq(lines_end(&l, &s), 0);
	cr_assert_eq(lines_end(&l, &s), 0);
	const char want[] = "web | one\nweb | two\nweb | rest\n";
	cr_assert_eq(sink_len(&s), strlen(want));
	cr_assert_eq(memcmp(buf_data(&s.q), want, strlen(want)), 0);
	sink_fini(&s);
}

Test(lines, are_bare_or_json_where_asked)
{
	static struct lines bare = { .name = "web", .form = LINES_BARE };
	static struct lines json = { .name = "web", .form = LINES_JSON, .stream = "stderr" };
	const uint8_t odd[] = { 'a', '"', 0, 0xff, 1, '\n' };
	const char want[] =
		"one\n{\"vm\":\"web\",\"event\":\"stderr\",\"text\":\"a\\\"??\\u0001\"}\n";
	struct sink s;

	sink_init(&s, -1, 1 << 20);
	cr_assert_eq(lines_add(&bare, (const uint8_t *)"one\n", 4, &s), 0);
	cr_assert_eq(lines_add(&json, odd, sizeof(odd), &s), 0);
	cr_assert_eq(sink_len(&s), strlen(want), "%.*s", (int)sink_len(&s), buf_data(&s.q));
	cr_assert_eq(memcmp(buf_data(&s.q), want, strlen(want)), 0, "%.*s", (int)sink_len(&s),
		     buf_data(&s.q));
	sink_fini(&s);
}

Test(lines, that_never_end_are_broken)
{
	static struct lines l = { .name = "w" };
	static uint8_t bytes[LINES_MAX + 10];
	struct sink s;

	sink_init(&s, -1, 1 << 20);
	memset(bytes, 'x', sizeof(bytes));
	cr_assert_eq(lines_add(&l, bytes, sizeof(bytes), &s), 0);
	cr_assert_eq(sink_len(&s), LINES_MAX + strlen("w | \n"));
	cr_assert_eq(l.len, 10);
	sink_fini(&s);
}

Test(sink, drops_what_nobody_reads)
{
	struct sink s;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(close(fds[0]), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	sink_init(&s, fds[1], 1000);
	cr_assert_eq(sink_add(&s, "x", 1), 0);
	cr_assert_eq(sink_write(&s), -EPIPE);
	cr_assert_eq(sink_add(&s, "x", 1), 0);
	cr_assert_eq(sink_len(&s), 0);
	sink_fini(&s);
}

Test(sink, never_writes_more_than_a_pipe_takes)
{
	static char bytes[100000];
	struct sink s;
	int fds[2];

	cr_assert_eq(pipe2(fds, 0), 0);
	sink_init(&s, fds[1], sizeof(bytes));
	cr_assert_eq(sink_add(&s, bytes, sizeof(bytes)), 0);
	cr_assert_eq(sink_write(&s), 0);
	cr_assert_eq(sink_len(&s), sizeof(bytes) - 4096);
	sink_fini(&s);
}
