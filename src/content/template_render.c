/*-------------------------------------------------------------------------
 *
 * template_render.c
 *	  Fills in templates.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/envelope.h"
#include "content/http_time.h"
#include "content/json_path.h"
#include "content/template.h"
#include "content/template_parts.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

/* Escaped values must stay below the 1 GB of a StringInfo. */
#define RENDER_MAX_BYTES (64 * 1024 * 1024)

static const char missing_hint[] = "Give a default, such as {{field|default:\"\"}}.";

static bool
set_string(JsonbValue *value, const char *string)
{
	if (string == NULL)
		return false;
	value->type = jbvString;
	value->val.string.val = unconstify(char *, string);
	value->val.string.len = strlen(string);
	return true;
}

static bool
set_number(JsonbValue *value, int64 number)
{
	value->type = jbvNumeric;
	value->val.numeric = int64_to_numeric(number);
	return true;
}

static bool
set_time(JsonbValue *value, int64 unix_ms)
{
	char	   *iso;

	if (unix_ms == 0)
		return false;
	iso = palloc(POSTRIDER_ISO_TIME_SIZE);
	postrider_http_time_iso(unix_ms, iso);
	return set_string(value, iso);
}

static void
set_container(JsonbValue *value, Jsonb *jsonb)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
	{
		(void) JsonbExtractScalar(&jsonb->root, value);
		return;
	}
	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
}

/* An element of an array by its number in decimal digits. */
static bool
take_element(JsonbContainer *container, const char *step, JsonbValue *value)
{
	JsonbValue *found;
	uint32		index = 0;

	if (!JsonContainerIsArray(container) || strlen(step) > 9 ||
		strspn(step, "0123456789") != strlen(step))
		return false;
	while (*step != '\0')
		index = index * 10 + (*step++ - '0');
	found = getIthJsonbValueFromContainer(container, index);
	if (found == NULL)
		return false;
	*value = *found;
	return true;
}

static bool
find_by_steps(const TemplatePart *part, Jsonb *payload, JsonbValue *value)
{
	if (payload == NULL)
		return false;
	set_container(value, payload);
	for (int i = 0; i < part->step_count; i++)
	{
		JsonbContainer *container;

		if (value->type != jbvBinary)
			return false;
		container = value->val.binary.data;
		if (!postrider_json_member(container, part->steps[i], value) &&
			!take_element(container, part->steps[i], value))
			return false;
	}
	return true;
}

/* Sets a problem if the path finds several values. */
static bool
find_by_path(const TemplatePart *part, Jsonb *payload, JsonbValue *value,
			 Problem *problem)
{
	Jsonb	   *found;
	JsonbValue *item;

	if (payload == NULL)
		return false;
	found = postrider_json_path_query(payload, part->path);
	if (found == NULL || JB_ROOT_COUNT(found) == 0)
		return false;
	if (JB_ROOT_COUNT(found) > 1)
		return postrider_problem(problem, "Choose one of them, for example the first with [0].",
								 "{{%s}} finds %d values, where one is needed",
								 part->expression, (int) JB_ROOT_COUNT(found));
	item = getIthJsonbValueFromContainer(&found->root, 0);
	*value = *item;
	return true;
}

/* False if the message has no such value. */
static bool
find_value(const TemplatePart *part, const TemplateMessage *message,
		   JsonbValue *value, Problem *problem)
{
	switch (part->field)
	{
		case FIELD_ID:
			return message->id &&
				set_string(value, DatumGetCString(DirectFunctionCall1(uuid_out,
																	  UUIDPGetDatum(message->id))));
		case FIELD_TOPIC:
			return set_string(value, message->topic);
		case FIELD_KEY:
			return set_string(value, message->key);
		case FIELD_TENANT:
			return set_string(value, message->tenant);
		case FIELD_ENDPOINT:
			return set_string(value, message->endpoint);
		case FIELD_ATTEMPT:
			return message->attempt > 0 && set_number(value, message->attempt);
		case FIELD_CREATED_AT:
			return set_time(value, message->created_ms);
		case FIELD_CREATED_AT_S:
			return message->created_ms && set_number(value, message->created_ms / 1000);
		case FIELD_CREATED_AT_MS:
			return message->created_ms && set_number(value, message->created_ms);
		case FIELD_SENT_AT:
			return set_time(value, message->sent_ms);
		case FIELD_SENT_AT_S:
			return message->sent_ms && set_number(value, message->sent_ms / 1000);
		case FIELD_SENT_AT_MS:
			return message->sent_ms && set_number(value, message->sent_ms);
		case FIELD_RECORD_COUNT:
			return set_number(value, message->record_count);
		case FIELD_PAYLOAD:
			return find_by_steps(part, message->payload, value);
		case FIELD_PATH:
			return find_by_path(part, message->payload, value, problem);
		case FIELD_RECORDS:
		case FIELD_LITERAL:
			break;
	}
	return false;
}

/* The value, or its default; false and a problem if there is neither. */
static bool
get_value(const TemplatePart *part, const TemplateMessage *message,
		  JsonbValue *value, Problem *problem)
{
	bool		found = find_value(part, message, value, problem);

	if (problem->message != NULL)
		return false;
	if (part->fallback != NULL && (!found || value->type == jbvNull))
	{
		set_container(value, part->fallback);
		return true;
	}
	if (!found)
		return postrider_problem(problem, missing_hint,
								 "{{%s}} is not in the message", part->expression);
	if (value->type == jbvNull && part->escape != ESCAPE_JSON_VALUE)
		return postrider_problem(problem, missing_hint, "{{%s}} is null",
								 part->expression);
	return true;
}

/*
 * Appends a value.  It is measured before it is escaped, so that the escaped
 * form cannot outgrow memory.
 */
static bool
append_value(const TemplatePart *part, const JsonbValue *value,
			 Size max_bytes, StringInfo out, Problem *problem)
{
	StringInfoData string;
	const char *trouble;

	if (part->escape == ESCAPE_PATH && value->type == jbvBinary)
		return postrider_problem(problem, NULL,
								 "{{%s}} is %s, and cannot stand in the path of a URL",
								 part->expression, postrider_json_kind(value));
	initStringInfo(&string);
	if (part->escape == ESCAPE_JSON_VALUE && value->type != jbvString)
		postrider_json_append(&string, value);
	else
		postrider_json_append_text(&string, value);
	postrider_envelope_to_utf8(&string, 0);
	if ((Size) string.len > max_bytes)
		return postrider_problem(problem, NULL,
								 "{{%s}} is longer than %zu bytes",
								 part->expression, max_bytes);
	if (part->escape == ESCAPE_JSON_VALUE && value->type != jbvString)
		appendBinaryStringInfo(out, string.data, string.len);
	else
	{
		trouble = postrider_escape(out, part->escape, string.data, string.len);
		if (trouble != NULL)
			return postrider_problem(problem, NULL, "{{%s}} %s",
									 part->expression, trouble);
	}
	pfree(string.data);
	return true;
}

static bool
append_place(const TemplatePart *part, const TemplateMessage *message,
			 Size max_bytes, StringInfo out, Problem *problem)
{
	JsonbValue	value;

	if (part->field == FIELD_RECORDS)
	{
		if (message->records_length > max_bytes)
			return postrider_problem(problem, NULL,
									 "the records are longer than %zu bytes",
									 max_bytes);
		appendBinaryStringInfo(out, message->records,
							   (int) message->records_length);
		return true;
	}
	return get_value(part, message, &value, problem) &&
		append_value(part, &value, max_bytes, out, problem);
}

/* Is this the segment . or .., with or without percent-encoding? */
static bool
is_dot_segment(const char *from, int length)
{
	int			dots = 0;

	while (length > 0)
	{
		if (*from == '.')
			from++, length--;
		else if (length >= 3 && pg_strncasecmp(from, "%2e", 3) == 0)
			from += 3, length -= 3;
		else
			return false;
		dots++;
	}
	return dots == 1 || dots == 2;
}

/*
 * Values beside each other, or beside the template's own dots, must not make
 * a segment that moves up the path.
 */
static bool
check_path(const char *url, Problem *problem)
{
	const char *at = strstr(url, "://");
	const char *end = url + strcspn(url, "?#");

	at = at && at < end ? at + 3 : url;
	while (at <= end)
	{
		int			length = strcspn(at, "/?#");

		if (is_dot_segment(at, length))
			return postrider_problem(problem, NULL,
									 "the path of the URL has the segment \"%.*s\"",
									 length, at);
		at += length + 1;
	}
	return true;
}

/* Is the template a single place whose value is null by default? */
static bool
is_absent(const Template *template, const TemplateMessage *message)
{
	const TemplatePart *part = &template->parts[0];
	JsonbValue	value;
	Problem		ignored = {0};

	return template->part_count == 2 && part->literal_length == 0 &&
		template->parts[1].literal_length == 0 && part->fallback != NULL &&
		part->field != FIELD_LITERAL &&
		get_value(part, message, &value, &ignored) && value.type == jbvNull;
}

bool
postrider_template_render(const Template *template,
						  const TemplateMessage *message, Size max_bytes,
						  StringInfo out, bool *absent, Problem *problem)
{
	int			start = out->len;

	max_bytes = Min(max_bytes, RENDER_MAX_BYTES);
	if (absent != NULL)
		*absent = is_absent(template, message);
	for (int i = 0; i < template->part_count; i++)
	{
		const TemplatePart *part = &template->parts[i];

		CHECK_FOR_INTERRUPTS();
		appendBinaryStringInfo(out, part->literal, part->literal_length);
		if (part->has_place &&
			!append_place(part, message, max_bytes, out, problem))
			return false;
		if ((Size) (out->len - start) > max_bytes)
			return postrider_problem(problem, NULL,
									 "the text is longer than %zu bytes", max_bytes);
	}
	if (template->context == TEMPLATE_URL || template->context == TEMPLATE_PATH)
		return check_path(out->data + start, problem);
	return true;
}
