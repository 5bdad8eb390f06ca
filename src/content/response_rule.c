/*-------------------------------------------------------------------------
 *
 * response_rule.c
 *	  What an answer means, by the rules of its endpoint; see response_rule.h.
 *
 * The receiver may mean harm, so the work is bounded: RESPONSE_RULE_BODY_BYTES of
 * the body are looked at, patterns have limits of their own (pattern.c), and after
 * MAX_TIME_MS the conditions that are left do not match.  Paths are interruptible.
 *
 * The body is made to text and to JSON when the first rule asks for it.  Errors are
 * caught without a subtransaction: see filter.c for why that is sound.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/response_rule_internal.h"
#include "mb/pg_wchar.h"
#include "util/text.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#define MAX_TIME_MS 1000

/* A response while it is judged. */
typedef struct Judgement
{
	const Response *response;
	TimestampTz deadline;
	char	   *body;			/* NULL: not made yet */
	int			body_length;
	bool		parsed;
	Jsonb	   *json;			/* NULL: it is none */
} Judgement;

char *
postrider_response_text(const char *bytes, int length)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";

	if (length >= 3 && memcmp(bytes, byte_order_mark, 3) == 0)
	{
		bytes += 3;
		length -= 3;
	}
	return postrider_text_clean(bytes, length);
}

Jsonb *
postrider_response_json(const char *string)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile result = NULL;

	/* Most that is no JSON is told by its beginning. */
	string += strspn(string, " \t\r\n");
	if (*string == '\0' || strchr("{[\"-0123456789tfn", *string) == NULL)
		return NULL;
	PG_TRY();
	{
		result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(string)));
	}
	PG_CATCH();
	{
		if (!postrider_is_error_of_data(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		result = NULL;
	}
	PG_END_TRY();
	return result;
}

bool
postrider_response_rules_want(const ResponseRules *rules, const char *name)
{
	for (int i = 0; i < rules->count; i++)
	{
		const ResponseRule *rule = &rules->rules[i];

		if ((rule->header != NULL && strcmp(rule->header, name) == 0) ||
			(rule->wait.header != NULL && strcmp(rule->wait.header, name) == 0))
			return true;
	}
	return false;
}

bool
postrider_response_header_find(const ResponseHeaders *headers, const char *name,
							   int *position, ResponseHeader *header)
{
	while (postrider_response_header_next(headers, position, header))
		if (strcmp(header->name, name) == 0)
			return true;
	return false;
}

static void
need_body(Judgement *judgement)
{
	const Response *response = judgement->response;

	if (judgement->body != NULL)
		return;
	judgement->body = postrider_response_text(response->body,
											  Min(response->body_length, RESPONSE_RULE_BODY_BYTES));
	judgement->body_length = strlen(judgement->body);
}

static Jsonb *
need_json(Judgement *judgement)
{
	if (!judgement->parsed)
	{
		need_body(judgement);
		judgement->json = postrider_response_json(judgement->body);
		judgement->parsed = true;
	}
	return judgement->json;
}

static bool
pattern_matches(const Pattern *pattern, const char *string, int length)
{
	char	   *problem = NULL;
	bool		matches;

	return postrider_pattern_matches(pattern, string, length, &matches, &problem) && matches;
}

static bool
status_matches(const ResponseRule *rule, int status)
{
	for (int i = 0; i < rule->status_count; i++)
		if (status >= rule->statuses[i].from && status <= rule->statuses[i].to)
			return true;
	return rule->status_count == 0;
}

static bool
header_matches(const ResponseRule *rule, const ResponseHeaders *headers)
{
	ResponseHeader header;
	int			position = 0;

	while (postrider_response_header_find(headers, rule->header, &position, &header))
	{
		char	   *value = postrider_response_text(header.value, header.value_length);

		if (rule->header_value != NULL && strcmp(rule->header_value, value) != 0)
			continue;
		if (rule->header_pattern == NULL ||
			pattern_matches(rule->header_pattern, value, strlen(value)))
			return true;
	}
	return false;
}

static bool
path_matches(Judgement *judgement, const SourcePath *path)
{
	Jsonb	   *json = need_json(judgement);

	return json != NULL && postrider_filter_matches(json, path->path);
}

static bool
body_matches(Judgement *judgement, const Pattern *pattern)
{
	need_body(judgement);
	return pattern_matches(pattern, judgement->body, judgement->body_length);
}

/* The cheap conditions come first. */
static bool
rule_matches(Judgement *judgement, const ResponseRule *rule)
{
	return status_matches(rule, judgement->response->status) &&
		(rule->header == NULL || header_matches(rule, judgement->response->headers)) &&
		(rule->path == NULL || path_matches(judgement, rule->path)) &&
		(rule->pattern == NULL || body_matches(judgement, rule->pattern)) &&
		GetCurrentTimestamp() <= judgement->deadline;
}

void
postrider_response_rules_judge(const ResponseRules *rules, const Response *response,
							   int64 now_us, ResponseVerdict *verdict)
{
	Judgement	judgement = {.response = response};

	verdict->rule = 0;
	judgement.deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MAX_TIME_MS);
	for (int i = 0; i < rules->count; i++)
	{
		const ResponseRule *rule = &rules->rules[i];
		Jsonb	   *json = NULL;

		if (!rule_matches(&judgement, rule))
			continue;
		if (rule->wait.is_given && rule->wait.header == NULL)
		{
			need_body(&judgement);
			json = rule->wait.path != NULL ? need_json(&judgement) : NULL;
		}
		verdict->rule = i + 1;
		verdict->action = rule->action;
		verdict->wait_until_us =
			postrider_response_wait_find(&rule->wait, response, judgement.body,
										 judgement.body_length, json, now_us);
		return;
	}
}
