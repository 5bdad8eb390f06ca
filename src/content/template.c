/*-------------------------------------------------------------------------
 *
 * template.c
 *	  Texts with values from a message; see template.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/envelope.h"
#include "content/escape.h"
#include "content/filter.h"
#include "content/json_path.h"
#include "content/surroundings.h"
#include "content/template.h"
#include "mb/pg_wchar.h"
#include "util/id.h"
#include "utils/numeric.h"

typedef enum PartKind
{
	PART_TEXT,
	PART_ID,
	PART_TOPIC,
	PART_KEY,
	PART_TENANT,
	PART_ENDPOINT,
	PART_CREATED_AT,
	PART_CREATED_AT_S,
	PART_CREATED_AT_MS,
	PART_PATH
} PartKind;

static const char *const field_names[] = {
	[PART_ID] = "id",
	[PART_TOPIC] = "topic",
	[PART_KEY] = "key",
	[PART_TENANT] = "tenant",
	[PART_ENDPOINT] = "endpoint",
	[PART_CREATED_AT] = "created_at",
	[PART_CREATED_AT_S] = "created_at_s",
	[PART_CREATED_AT_MS] = "created_at_ms"
};

typedef struct TemplatePart
{
	PartKind	kind;
	char	   *text;			/* of PART_TEXT, in UTF-8, as it is; else the
								 * expression, for problems */
	int			length;
	JsonPath   *path;
	bool		needs_id;		/* the value is in the id */
	JsonbValue *fallback;		/* or NULL */
	ValueEscape escape;
} TemplatePart;

struct Template
{
	int			count;
	int			allocated;
	TemplatePart *parts;
};

static TemplatePart *
add_part(Template *template, PartKind kind, const char *string, Size length)
{
	TemplatePart *part;

	if (template->count == template->allocated)
	{
		template->allocated = Max(template->allocated * 2, 8);
		template->parts = template->parts == NULL ?
			palloc(sizeof(TemplatePart) * template->allocated) :
			repalloc(template->parts, sizeof(TemplatePart) * template->allocated);
	}
	part = &template->parts[template->count++];
	memset(part, 0, sizeof(*part));
	part->kind = kind;
	part->text = pnstrdup(string, length);
	part->length = (int) length;
	return part;
}

/* Literal text is sent as it is, so it must be in UTF-8 already. */
static void
add_text(Template *template, Surroundings *where, const char *string, Size length)
{
	TemplatePart *part;
	StringInfoData utf8;

	if (length == 0)
		return;
	part = add_part(template, PART_TEXT, string, length);
	postrider_surroundings_pass(where, part->text);
	initStringInfo(&utf8);
	appendBinaryStringInfo(&utf8, part->text, part->length);
	postrider_envelope_to_utf8(&utf8, 0);
	part->text = utf8.data;
	part->length = utf8.len;
}

/*
 * The }} that ends a place, and the bar before its default, past strings and
 * brackets, both of which paths have.  NULL if there is none.
 */
static const char *
find_end(const char *at, const char **bar)
{
	int			depth = 0;
	bool		in_string = false;

	*bar = NULL;
	for (; *at; at++)
	{
		if (in_string)
		{
			if (*at == '\\' && at[1])
				at++;
			else if (*at == '"')
				in_string = false;
		}
		else if (*at == '"')
			in_string = true;
		else if (depth == 0 && at[0] == '}' && at[1] == '}')
			return at;
		else if (strchr("([{", *at))
			depth++;
		else if (strchr(")]}", *at))
			depth--;
		else if (depth == 0 && strncmp(at, "||", 2) == 0)
			at++;
		else if (depth == 0 && *at == '|' && *bar == NULL)
			*bar = at;
	}
	return NULL;
}

static char *
trimmed(const char *from, const char *to)
{
	while (from < to && strchr(" \t\n\r", *from))
		from++;
	while (to > from && strchr(" \t\n\r", to[-1]))
		to--;
	return pnstrdup(from, to - from);
}

/* The scalar or container in a JSON text, or NULL. */
static JsonbValue *
read_json(const char *string)
{
	Jsonb	   *json = postrider_json_read(string, strlen(string));
	JsonbValue *value;

	if (json == NULL)
		return NULL;
	value = palloc0(sizeof(JsonbValue));
	if (JB_ROOT_IS_SCALAR(json))
		return getIthJsonbValueFromContainer(&json->root, 0);
	value->type = jbvBinary;
	value->val.binary.data = &json->root;
	value->val.binary.len = VARSIZE(json) - VARHDRSZ;
	return value;
}

static bool
set_expression(TemplatePart *part, char **problem)
{
	const char *expression = part->text;
	char	   *path_problem;

	if (expression[0] == '"')
	{
		part->fallback = read_json(expression);
		part->kind = PART_KEY;
		part->path = NULL;
		if (part->fallback == NULL)
			*problem = psprintf("has a place that is no JSON string: %s", expression);
		else
			part->kind = PART_TEXT;
		return part->fallback != NULL;
	}
	if (expression[0] == '$')
	{
		part->kind = PART_PATH;
		part->path = postrider_json_path_parse(expression, &path_problem);
		if (part->path == NULL)
			*problem = psprintf("has a place {{%s}} that %s", expression, path_problem);
		else if (postrider_filter_has_variable(part->path))
			*problem = psprintf("has a place {{%s}} with a variable, and there are none", expression);
		else
			return true;
		return false;
	}
	for (int kind = PART_ID; kind <= PART_CREATED_AT_MS; kind++)
	{
		if (strcmp(field_names[kind], expression) != 0)
			continue;
		part->kind = (PartKind) kind;
		part->needs_id = kind == PART_ID || kind >= PART_CREATED_AT;
		return true;
	}
	*problem = psprintf("has a place for \"%s\", which no message has", expression);
	return false;
}

/* A place begins at *at, which is moved behind it. */
static bool
add_place(Template *template, Surroundings *where, const char **at, char **problem)
{
	const char *bar;
	const char *end = find_end(*at + 2, &bar);
	const char *trouble;
	TemplatePart *part;
	char	   *expression;
	char	   *modifier;

	if (end == NULL)
	{
		*problem = pstrdup("has a place that is not closed with }}");
		return false;
	}
	expression = trimmed(*at + 2, bar ? bar : end);
	part = add_part(template, PART_KEY, expression, strlen(expression));
	trouble = postrider_surroundings_escape(where, &part->escape);
	if (trouble != NULL)
	{
		*problem = psprintf("has a place {{%s}} %s", expression, trouble);
		return false;
	}
	if (!set_expression(part, problem))
		return false;
	if (bar == NULL)
	{
		*at = end + 2;
		return true;
	}
	modifier = trimmed(bar + 1, end);
	if (strncmp(modifier, "default:", 8) == 0)
		part->fallback = read_json(modifier + 8);
	if (part->fallback == NULL)
		*problem = psprintf("has a place with \"%s\" where default: and a JSON value should be",
							modifier);
	else if (part->fallback->type == jbvNull && part->escape != ESCAPE_JSON_VALUE)
		*problem = psprintf("has a place {{%s}} with null as its default, which only a JSON value can be",
							expression);
	if (*problem != NULL)
		return false;
	*at = end + 2;
	return true;
}

/* Is it JSON, whatever the values are? */
static bool
is_json(const Template *template)
{
	StringInfoData trial;

	initStringInfo(&trial);
	for (int i = 0; i < template->count; i++)
	{
		const TemplatePart *part = &template->parts[i];

		if (part->kind == PART_TEXT && part->fallback == NULL)
			appendBinaryStringInfo(&trial, part->text, part->length);
		else if (part->escape == ESCAPE_JSON_VALUE)
			appendStringInfoString(&trial, "null");
	}
	return postrider_json_read(trial.data, trial.len) != NULL;
}

bool
postrider_template_has_places(const char *source)
{
	return strstr(source, "{{") != NULL;
}

Template *
postrider_template_compile(const char *source, TemplateContext context, char **problem)
{
	Template   *template = palloc0(sizeof(Template));
	Surroundings where;
	const char *at = source;
	const char *place;

	*problem = NULL;
	postrider_surroundings_start(&where, context);
	if (strlen(source) > TEMPLATE_MAX_BYTES)
	{
		*problem = psprintf("is longer than %d bytes", TEMPLATE_MAX_BYTES);
		return NULL;
	}
	while ((place = strstr(at, "{{")) != NULL)
	{
		add_text(template, &where, at, place - at);
		at = place;
		if (!add_place(template, &where, &at, problem))
		{
			*problem = psprintf("%s (at character %d)", *problem,
								pg_mbstrlen_with_len(source, (int) (at - source)) + 1);
			return NULL;
		}
		if (template->count > 2 * TEMPLATE_MAX_PLACES)
		{
			*problem = psprintf("has more than %d places", TEMPLATE_MAX_PLACES);
			return NULL;
		}
	}
	add_text(template, &where, at, strlen(at));
	if (context == TEMPLATE_JSON && !is_json(template))
	{
		*problem = pstrdup("makes no JSON");
		return NULL;
	}
	return template;
}

static JsonbValue *
text_value(const char *string)
{
	JsonbValue *value;

	if (string == NULL)
		return NULL;
	value = palloc0(sizeof(JsonbValue));
	value->type = jbvString;
	value->val.string.val = unconstify(char *, string);
	value->val.string.len = (int) strlen(string);
	return value;
}

static JsonbValue *
number_value(int64 number)
{
	JsonbValue *value = palloc0(sizeof(JsonbValue));

	value->type = jbvNumeric;
	value->val.numeric = int64_to_numeric(number);
	return value;
}

static JsonbValue *
first_found(const TemplatePart *part, const TemplateValues *values)
{
	Jsonb	   *found = values->payload == NULL ? NULL :
		postrider_json_path_values(values->payload, part->path);

	return found ? getIthJsonbValueFromContainer(&found->root, 0) : NULL;
}

static JsonbValue *
find_value(const TemplatePart *part, const TemplateValues *values)
{
	StringInfoData time;
	char		id[ID_TEXT_SIZE];

	if (part->needs_id && values->id == NULL)
		return NULL;
	switch (part->kind)
	{
		case PART_ID:
			postrider_id_text(values->id, id);
			return text_value(pstrdup(id));
		case PART_TOPIC:
			return text_value(values->topic);
		case PART_KEY:
			return text_value(values->key);
		case PART_TENANT:
			return text_value(values->tenant);
		case PART_ENDPOINT:
			return text_value(values->endpoint);
		case PART_CREATED_AT:
			initStringInfo(&time);
			postrider_envelope_time(&time, values->id);
			return text_value(time.data);
		case PART_CREATED_AT_S:
			return number_value(postrider_id_unix_ms(values->id) / 1000);
		case PART_CREATED_AT_MS:
			return number_value(postrider_id_unix_ms(values->id));
		case PART_PATH:
			return first_found(part, values);
		case PART_TEXT:
			break;
	}
	return NULL;
}

static char *
as_json(const JsonbValue *value)
{
	Jsonb	   *json = JsonbValueToJsonb(unconstify(JsonbValue *, value));

	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* Appends a value that is there, in UTF-8; else says what is wrong with it. */
static const char *
append_value(StringInfo out, const TemplatePart *part, const JsonbValue *value)
{
	StringInfoData utf8;

	initStringInfo(&utf8);
	if (value->type == jbvString)
		appendBinaryStringInfo(&utf8, value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		appendStringInfoString(&utf8, numeric_normalize(value->val.numeric));
	else
		appendStringInfoString(&utf8, as_json(value));
	postrider_envelope_to_utf8(&utf8, 0);
	if (utf8.len > TEMPLATE_MAX_RESULT_BYTES)
		return "is too long";
	if (part->escape == ESCAPE_JSON_VALUE && value->type != jbvString)
	{
		appendBinaryStringInfo(out, utf8.data, utf8.len);
		return NULL;
	}
	return postrider_escape(out, part->escape, utf8.data, utf8.len);
}

bool
postrider_template_render(const Template *template, const TemplateValues *values,
						  StringInfo out, char **problem)
{
	int			start = out->len;

	for (int i = 0; i < template->count; i++)
	{
		const TemplatePart *part = &template->parts[i];
		JsonbValue *value;
		const char *trouble;

		if (part->kind == PART_TEXT && part->fallback == NULL)
		{
			appendBinaryStringInfo(out, part->text, part->length);
			continue;
		}
		value = find_value(part, values);
		if (value == NULL || value->type == jbvNull)
			value = part->fallback;
		if (value == NULL)
			trouble = "is missing";
		else
			trouble = append_value(out, part, value);
		if (trouble == NULL && out->len - start > TEMPLATE_MAX_RESULT_BYTES)
			trouble = psprintf("makes the text longer than %d bytes",
							   TEMPLATE_MAX_RESULT_BYTES);
		if (trouble == NULL)
			continue;
		*problem = psprintf("the value of {{%s}} %s", part->text, trouble);
		return false;
	}
	return true;
}

TemplateContext
postrider_template_context(const char *content_type)
{
	int			length = (int) strcspn(content_type, "; \t");
	char	   *type = pnstrdup(content_type, length);

	for (char *c = type; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	if (strcmp(type, "application/x-www-form-urlencoded") == 0)
		return TEMPLATE_FORM;
	if (length >= 4 && strcmp(type + length - 4, "json") == 0)
		return TEMPLATE_JSON;
	if ((length >= 3 && strcmp(type + length - 3, "xml") == 0) ||
		strcmp(type, "text/html") == 0)
		return TEMPLATE_XML;
	return TEMPLATE_TEXT;
}
