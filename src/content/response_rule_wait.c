/*-------------------------------------------------------------------------
 *
 * response_rule_wait.c
 *	  Where a response says how long to wait: "wait" of a rule.
 *
 * There is one source: a header, with a path if its value is JSON or a pattern if
 * there is other text in it; a path or pattern on the body; a constant; or the next
 * midnight in UTC, when some count anew.  Of several values the longest wait
 * counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/response_rule_internal.h"
#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"

/* To find a group takes time in proportion to the square of the text. */
#define SEARCHED_BYTES	4096

/* Values of a path that are looked at. */
#define MOST_VALUES		100

static const char *const wait_members[] = {
	"header", "path", "pattern", "value", "until", "unit", NULL
};

static void
compile_value(RuleCompilation *compilation, const JsonbValue *value, WaitSource *wait)
{
	char	   *string;
	const char *next;
	int			length;

	if (value->type != jbvNumeric || !postrider_mapping_scalar_text(value, &string, &length) ||
		(next = string, !postrider_number_read(&next, string + length, &wait->value)) ||
		next != string + length)
		postrider_response_rule_problem(compilation, ".wait.value",
										"must be a number from 0 to 10^18");
}

static void
compile_until(RuleCompilation *compilation, const JsonbValue *value, WaitSource *wait)
{
	char	   *until = postrider_response_rule_string(compilation, value, ".wait.until");

	if (until == NULL)
		return;
	wait->utc_midnight = strcmp(until, "utc_midnight") == 0;
	if (!wait->utc_midnight)
		postrider_response_rule_problem(compilation, ".wait.until", "must be \"utc_midnight\"");
}

static void
compile_unit(RuleCompilation *compilation, const JsonbValue *value, WaitSource *wait)
{
	char	   *unit = postrider_response_rule_string(compilation, value, ".wait.unit");

	if (unit != NULL && !postrider_wait_unit_find(unit, &wait->unit))
		postrider_response_rule_problem(compilation, ".wait.unit",
										"must be auto, seconds, milliseconds, minutes, epoch, epoch_ms or http_date");
}

/* One source, or a header and what is in it. */
static bool
is_one_source(bool header, bool path, bool pattern, bool value, bool until)
{
	if (header)
		return !(path && pattern) && !value && !until;
	return path + pattern + value + until == 1;
}

void
postrider_response_wait_compile(RuleCompilation *compilation, const JsonbValue *value,
								WaitSource *wait)
{
	JsonbContainer *object;
	JsonbValue	header;
	JsonbValue	path;
	JsonbValue	pattern;
	JsonbValue	number;
	JsonbValue	until;
	JsonbValue	unit;
	bool		has[5];

	wait->is_given = true;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
	{
		postrider_response_rule_problem(compilation, ".wait",
										"must be an object such as {\"header\": \"Retry-After\", \"unit\": \"seconds\"}");
		return;
	}
	object = value->val.binary.data;
	postrider_response_rule_members(compilation, object, wait_members, ".wait");
	has[0] = postrider_response_rule_member(object, "header", &header) != NULL;
	has[1] = postrider_response_rule_member(object, "path", &path) != NULL;
	has[2] = postrider_response_rule_member(object, "pattern", &pattern) != NULL;
	has[3] = postrider_response_rule_member(object, "value", &number) != NULL;
	has[4] = postrider_response_rule_member(object, "until", &until) != NULL;
	if (!is_one_source(has[0], has[1], has[2], has[3], has[4]))
		postrider_response_rule_problem(compilation, ".wait",
										"must have one of header, path, pattern, value and until; a header may have a path or pattern beside it");
	if (has[0])
		wait->header = postrider_response_rule_header(compilation, &header, ".wait.header");
	if (has[1])
		wait->path = postrider_response_rule_path(compilation, &path, ".wait.path");
	if (has[2])
		wait->pattern = postrider_response_rule_pattern(compilation, &pattern, true,
														".wait.pattern");
	if (has[3])
		compile_value(compilation, &number, wait);
	if (has[4])
		compile_until(compilation, &until, wait);
	if (postrider_response_rule_member(object, "unit", &unit))
		compile_unit(compilation, &unit, wait);
}

/*
 * Evaluation
 */

/* A number or text from a document or header; -1 if it is no time. */
static int64
read_text(const WaitSource *wait, const char *string, int length, int64 now_us)
{
	int64		until_us;

	return postrider_wait_read(string, length, wait->unit, now_us, &until_us) ? until_us : -1;
}

static int64
read_value(const WaitSource *wait, const JsonbValue *value, int64 now_us)
{
	char	   *string;
	int			length;

	if ((value->type != jbvString && value->type != jbvNumeric) ||
		!postrider_mapping_scalar_text(value, &string, &length))
		return -1;
	return read_text(wait, string, length, now_us);
}

static int64
read_path(const WaitSource *wait, Jsonb *json, int64 now_us)
{
	SourceDocument document = {.jsonb = json};
	JsonbValue	value;
	JsonbValue	values;
	char	   *problem = NULL;
	int			count;
	int64		until_us;

	if (json == NULL)
		return -1;
	JsonbToJsonbValue(json, &document.value);
	postrider_mapping_normalize(&document.value);
	count = postrider_mapping_path_find(wait->path, &document, &value, &values, &problem);
	if (count <= 0)
		return -1;
	until_us = read_value(wait, &value, now_us);
	if (values.type != jbvBinary || !JsonContainerIsArray(values.val.binary.data))
		return until_us;
	count = Min((int) JsonContainerSize(values.val.binary.data), MOST_VALUES);
	for (int i = 0; i < count; i++)
	{
		postrider_mapping_child(values.val.binary.data, i, &value);
		until_us = Max(until_us, read_value(wait, &value, now_us));
	}
	return until_us;
}

static int64
read_pattern(const WaitSource *wait, const char *string, int length, int64 now_us)
{
	PatternGroup group;
	char	   *problem = NULL;

	length = pg_mbcliplen(string, length, SEARCHED_BYTES);
	if (!postrider_pattern_find(wait->pattern, string, length,
								postrider_pattern_group_count(wait->pattern) > 0 ? 1 : 0,
								&group, &problem) ||
		group.start < 0)
		return -1;
	return read_text(wait, string + group.start, group.end - group.start, now_us);
}

static int64
read_header(const WaitSource *wait, const Response *response, int64 now_us)
{
	ResponseHeader header;
	int			position = 0;
	int64		until_us = -1;

	while (postrider_response_header_find(response->headers, wait->header, &position, &header))
	{
		char	   *value = postrider_response_text(header.value, header.value_length);
		int64		one_us;

		if (wait->path != NULL)
			one_us = read_path(wait, postrider_response_json(value), now_us);
		else if (wait->pattern != NULL)
			one_us = read_pattern(wait, value, strlen(value), now_us);
		else
			one_us = read_text(wait, value, strlen(value), now_us);
		until_us = Max(until_us, one_us);
	}
	return until_us;
}

int64
postrider_response_wait_find(const WaitSource *wait, const Response *response,
							 const char *body, int body_length, Jsonb *json, int64 now_us)
{
	if (!wait->is_given)
		return -1;
	if (wait->header != NULL)
		return read_header(wait, response, now_us);
	if (wait->path != NULL)
		return read_path(wait, json, now_us);
	if (wait->pattern != NULL)
		return read_pattern(wait, body, body_length, now_us);
	if (wait->utc_midnight)
		return (now_us / USECS_PER_DAY + 1) * USECS_PER_DAY;
	if (wait->value >= 0)
	{
		char	   *number = psprintf("%.6f", wait->value);

		return read_text(wait, number, strlen(number), now_us);
	}
	return -1;
}
