/*-------------------------------------------------------------------------
 *
 * body.c
 *	  Bodies of requests; see body.h.
 *
 * CloudEvents: JSON event format 1.0.2, section 3.  The id of the message is the
 * event's id, its topic the type, its key the subject.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "content/body.h"
#include "content/envelope.h"
#include "content/escape.h"
#include "miscadmin.h"
#include "util/id.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

static const char *const format_names[] = {
	[BODY_STANDARD_WEBHOOKS] = "standard-webhooks",
	[BODY_CLOUDEVENTS] = "cloudevents",
	[BODY_CLOUDEVENTS_BINARY] = "cloudevents-binary",
	[BODY_RAW] = "raw",
	[BODY_FORM] = "form",
	[BODY_TEMPLATE] = "template",
	[BODY_NONE] = "none"
};

bool
postrider_body_format(const char *name, BodyFormat *format)
{
	for (int i = 0; i < (int) lengthof(format_names); i++)
	{
		if (strcmp(format_names[i], name) != 0)
			continue;
		*format = (BodyFormat) i;
		return true;
	}
	return false;
}

const char *
postrider_body_content_type(BodyFormat format)
{
	switch (format)
	{
		case BODY_CLOUDEVENTS:
			return "application/cloudevents+json";
		case BODY_FORM:
			return "application/x-www-form-urlencoded";
		case BODY_NONE:
			return NULL;
		default:
			return "application/json";
	}
}

/* Of the database's name, which may be anything. */
const char *
postrider_body_cloudevents_source(void)
{
	static char *source = NULL;

	if (source == NULL)
	{
		StringInfoData quoted;
		const char *database = get_database_name(MyDatabaseId);
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&quoted);
		appendStringInfoString(&quoted, "/postrider/");
		postrider_escape_percent(&quoted, database, (int) strlen(database));
		source = quoted.data;
		MemoryContextSwitchTo(old);
	}
	return source;
}

static void
append_cloudevent(StringInfo out, const TemplateValues *values)
{
	char		id[ID_TEXT_SIZE];

	postrider_id_text(values->id, id);
	appendStringInfo(out, "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"%s\",\"type\":",
					 id, postrider_body_cloudevents_source());
	escape_json(out, values->topic);
	if (values->key && values->key[0])
	{
		appendStringInfoString(out, ",\"subject\":");
		escape_json(out, values->key);
	}
	appendStringInfoString(out, ",\"time\":\"");
	postrider_envelope_time(out, values->id);
	appendStringInfoString(out, "\",\"datacontenttype\":\"application/json\",\"data\":");
	(void) JsonbToCString(out, &values->payload->root, VARSIZE(values->payload));
	appendStringInfoChar(out, '}');
}

static void
append_form_text(StringInfo out, const char *string, int length)
{
	StringInfoData utf8;

	initStringInfo(&utf8);
	appendBinaryStringInfo(&utf8, string, length);
	postrider_envelope_to_utf8(&utf8, 0);
	(void) postrider_escape(out, ESCAPE_FORM, utf8.data, utf8.len);
}

/* One name and its value; null is left out. */
static void
append_field(StringInfo out, const JsonbValue *name, JsonbValue *value)
{
	Jsonb	   *json;
	char	   *string;

	if (value->type == jbvNull)
		return;
	if (out->len > 0)
		appendStringInfoChar(out, '&');
	append_form_text(out, name->val.string.val, name->val.string.len);
	appendStringInfoChar(out, '=');
	if (value->type == jbvString)
	{
		append_form_text(out, value->val.string.val, value->val.string.len);
		return;
	}
	json = JsonbValueToJsonb(value);
	string = value->type == jbvNumeric ? numeric_normalize(value->val.numeric) :
		JsonbToCString(NULL, &json->root, VARSIZE(json));
	append_form_text(out, string, (int) strlen(string));
}

/* Elements of an array come one by one under the same name. */
static bool
append_form(StringInfo out, Jsonb *payload, char **problem)
{
	JsonbIterator *iterator = JsonbIteratorInit(&payload->root);
	JsonbIteratorToken token;
	JsonbValue	name = {.type = jbvNull};
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(payload))
	{
		*problem = pstrdup("a form needs a payload that is an object");
		return false;
	}
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = value;
		if (token != WJB_VALUE)
			continue;
		if (value.type == jbvBinary && JsonContainerIsArray(value.val.binary.data))
			for (uint32 i = 0; i < JsonContainerSize(value.val.binary.data); i++)
				append_field(out, &name, getIthJsonbValueFromContainer(value.val.binary.data, i));
		else
			append_field(out, &name, &value);
	}
	return true;
}

bool
postrider_body_build(BodyFormat format, const Template *template,
					 const TemplateValues *values, StringInfo out, char **problem)
{
	int			start = out->len;

	switch (format)
	{
		case BODY_STANDARD_WEBHOOKS:
			postrider_envelope_build(out, values->topic, values->id, values->payload);
			return true;
		case BODY_CLOUDEVENTS:
			append_cloudevent(out, values);
			break;
		case BODY_CLOUDEVENTS_BINARY:
		case BODY_RAW:
			(void) JsonbToCString(out, &values->payload->root, VARSIZE(values->payload));
			break;
		case BODY_FORM:
			return append_form(out, values->payload, problem);
		case BODY_TEMPLATE:
			return postrider_template_render(template, values, out, problem);
		case BODY_NONE:
			return true;
	}
	postrider_envelope_to_utf8(out, start);
	return true;
}
