/*-------------------------------------------------------------------------
 *
 * template.c
 *	  Compiles templates.
 *
 * A template is cut at its places.  The text between is fed to a scanner
 * (template_scan.h), which tells how each value must be escaped.  What comes
 * out is tried once with stand-ins for the values, so that a template that
 * cannot make JSON or a URL is refused when it is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/envelope.h"
#include "content/json_path.h"
#include "content/template.h"
#include "content/template_parts.h"
#include "content/template_scan.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#define MAX_STEPS 32

static const char place_hint[] = "A place is {{field}} or {{field|default:\"…\"}}. For the text {{ itself write {{\"{{\"}}.";
static const char field_hint[] = "A value of the payload is payload.name or a path such as $.name; the message's own fields are id, topic, key, tenant, endpoint, attempt, created_at and sent_at, the last two also with _s or _ms.";
static const char batch_hint[] = "The envelope of a batch knows records, record_count, endpoint and sent_at; values of messages belong into the records.";

typedef struct Field
{
	const char *name;
	FieldKind	kind;
	bool		in_message;
	bool		in_batch;
} Field;

static const Field fields[] = {
	{"id", FIELD_ID, true, false},
	{"topic", FIELD_TOPIC, true, false},
	{"key", FIELD_KEY, true, false},
	{"tenant", FIELD_TENANT, true, false},
	{"endpoint", FIELD_ENDPOINT, true, true},
	{"attempt", FIELD_ATTEMPT, true, false},
	{"created_at", FIELD_CREATED_AT, true, false},
	{"created_at_s", FIELD_CREATED_AT_S, true, false},
	{"created_at_ms", FIELD_CREATED_AT_MS, true, false},
	{"sent_at", FIELD_SENT_AT, true, true},
	{"sent_at_s", FIELD_SENT_AT_S, true, true},
	{"sent_at_ms", FIELD_SENT_AT_MS, true, true},
	{"payload", FIELD_PAYLOAD, true, false},
	{"records", FIELD_RECORDS, false, true},
	{"record_count", FIELD_RECORD_COUNT, false, true}
};

/* A template while it is compiled. */
typedef struct Compile
{
	const char *source;
	const char *at;				/* what comes next */
	bool		batch;
	int			records;		/* places for records so far */
	TemplateScan scan;
	Template   *result;
	Problem    *problem;
} Compile;

bool
postrider_template_context(const char *name, TemplateContext *context,
						   Problem *problem)
{
	static const char *const names[] = {
		"text", "url", "path", "query", "form", "json", "graphql", "xml",
		"header"
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
		{
			*context = (TemplateContext) i;
			return true;
		}
	return postrider_problem(problem, "Contexts are text, url, path, query, form, json, graphql, xml and header.",
							 "\"%s\" is no context of a template", name);
}

static int
character_number(const Compile *compile, const char *at)
{
	return pg_mbstrlen_with_len(compile->source, at - compile->source) + 1;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char *
copy_trimmed(const char *from, const char *to)
{
	while (from < to && is_blank(*from))
		from++;
	while (to > from && is_blank(to[-1]))
		to--;
	return pnstrdup(from, to - from);
}

/*
 * Finds the }} that ends the place, and the bar before its default, skipping
 * strings and everything in brackets: SQL/JSON paths have both.  NULL if the
 * place does not end.
 */
static const char *
find_place_end(const char *at, const char **bar)
{
	int			depth = 0;
	bool		in_string = false;

	*bar = NULL;
	for (; *at != '\0'; at++)
	{
		if (in_string)
		{
			if (*at == '\\' && at[1] != '\0')
				at++;
			else if (*at == '"')
				in_string = false;
		}
		else if (*at == '"')
			in_string = true;
		else if (depth == 0 && at[0] == '}' && at[1] == '}')
			return at;
		else if (*at == '(' || *at == '[' || *at == '{')
			depth++;
		else if (*at == ')' || *at == ']' || *at == '}')
			depth--;
		else if (depth == 0 && at[0] == '|' && at[1] == '|')
			at++;
		else if (depth == 0 && *at == '|' && *bar == NULL)
			*bar = at;
	}
	return NULL;
}

static bool
compile_default(Compile *compile, TemplatePart *part, const char *from,
				const char *to)
{
	char	   *modifier = copy_trimmed(from, to);

	if (strncmp(modifier, "default:", 8) != 0)
		return postrider_problem(compile->problem, place_hint,
								 "\"%s\" is no default", modifier);
	part->fallback = postrider_json_parse(modifier + 8, strlen(modifier + 8),
										  POSTRIDER_TEMPLATE_MAX);
	if (part->fallback == NULL)
		return postrider_problem(compile->problem, "Write text in double quotes: default:\"none\".",
								 "the default %s is no JSON", modifier + 8);
	return true;
}

/* Takes payload.a.0.b apart; payload alone has no steps. */
static bool
compile_steps(Compile *compile, TemplatePart *part, const char *dotted)
{
	part->steps = palloc(MAX_STEPS * sizeof(char *));
	while (*dotted == '.')
	{
		const char *from = ++dotted;

		while (IS_HIGHBIT_SET(*dotted) || *dotted == '_' || *dotted == '-' ||
			   (*dotted >= '0' && *dotted <= '9') ||
			   (*dotted >= 'a' && *dotted <= 'z') ||
			   (*dotted >= 'A' && *dotted <= 'Z'))
			dotted++;
		if (dotted == from || part->step_count == MAX_STEPS)
			break;
		part->steps[part->step_count++] = pnstrdup(from, dotted - from);
	}
	if (*dotted != '\0')
		return postrider_problem(compile->problem, "Names are made of letters, digits, _ and -, at most 32 of them; other names need a path, such as $.\"a name\".",
								 "\"%s\" is no name of a value in the payload",
								 part->expression);
	return true;
}

static bool
compile_field(Compile *compile, TemplatePart *part)
{
	const char *expression = part->expression;
	Size		length = strcspn(expression, ".");

	for (int i = 0; i < (int) lengthof(fields); i++)
	{
		if (strlen(fields[i].name) != length ||
			strncmp(fields[i].name, expression, length) != 0)
			continue;
		if (!(compile->batch ? fields[i].in_batch : fields[i].in_message))
			break;
		part->field = fields[i].kind;
		if (part->field == FIELD_PAYLOAD)
			return compile_steps(compile, part, expression + length);
		if (expression[length] == '\0')
			return true;
	}
	return postrider_problem(compile->problem,
							 compile->batch ? batch_hint : field_hint,
							 "\"%s\" is no field of %s", expression,
							 compile->batch ? "a batch" : "a message");
}

static bool
compile_expression(Compile *compile, TemplatePart *part)
{
	const char *expression = part->expression;

	if (expression[0] == '\0')
		return postrider_problem(compile->problem, place_hint,
								 "the place is empty");
	if (expression[0] == '"')
	{
		part->field = FIELD_LITERAL;
		part->fallback = postrider_json_parse(expression, strlen(expression),
											  POSTRIDER_TEMPLATE_MAX);
		return part->fallback != NULL ||
			postrider_problem(compile->problem, place_hint,
							  "%s is no JSON string", expression);
	}
	if (expression[0] != '$')
		return compile_field(compile, part);
	if (compile->batch)
		return postrider_problem(compile->problem, batch_hint,
								 "a batch has no payload of its own");
	part->field = FIELD_PATH;
	part->path = postrider_json_path_compile(expression, compile->problem);
	return part->path != NULL;
}

/* Records are ready to stand there, so nothing escapes them. */
static bool
compile_records(Compile *compile, TemplatePart *part)
{
	if (part->fallback != NULL)
		return postrider_problem(compile->problem, NULL,
								 "records have no default");
	if (compile->records++ > 0)
		return postrider_problem(compile->problem, NULL,
								 "there is more than one place for the records");
	if (part->escape != ESCAPE_JSON_VALUE && part->escape != ESCAPE_XML &&
		part->escape != ESCAPE_NONE)
		return postrider_problem(compile->problem, "Write for example {\"inputs\": [{{records}}]}.",
								 "the records cannot stand within a string");
	if (part->escape == ESCAPE_XML && compile->scan.state != SCAN_START)
		return postrider_problem(compile->problem, NULL,
								 "the records cannot stand within an attribute");
	return true;
}

/* Compiles the place that begins at compile->at, and goes behind it. */
static bool
compile_place(Compile *compile, TemplatePart *part)
{
	const char *start = compile->at;
	const char *bar;
	const char *end = find_place_end(start + 2, &bar);
	bool		fits;

	if (end == NULL)
	{
		postrider_problem(compile->problem, place_hint,
						  "the place is not closed");
		return postrider_problem_at(compile->problem, "template, character %d",
									character_number(compile, start));
	}
	part->has_place = true;
	part->expression = copy_trimmed(start + 2, bar ? bar : end);
	fits = compile_expression(compile, part);
	if (fits && bar && part->field == FIELD_LITERAL)
		fits = postrider_problem(compile->problem, NULL,
								 "a text needs no default");
	fits = fits && (!bar || compile_default(compile, part, bar + 1, end)) &&
		postrider_template_scan_place(&compile->scan, &part->escape,
									  compile->problem) &&
		(part->field != FIELD_RECORDS || compile_records(compile, part));
	if (!fits)
		return postrider_problem_at(compile->problem, "template, character %d",
									character_number(compile, start));
	compile->at = end + 2;
	return true;
}

static void
set_literal(TemplatePart *part, const char *from, int length)
{
	StringInfoData literal;

	initStringInfo(&literal);
	appendBinaryStringInfo(&literal, from, length);
	postrider_envelope_to_utf8(&literal, 0);
	part->literal = literal.data;
	part->literal_length = literal.len;
}

static bool
compile_parts(Compile *compile)
{
	Template   *result = compile->result;
	int			allocated = 8;

	result->parts = palloc(allocated * sizeof(TemplatePart));
	for (;;)
	{
		const char *place = strstr(compile->at, "{{");
		int			length = place ? place - compile->at : (int) strlen(compile->at);
		TemplatePart *part;

		CHECK_FOR_INTERRUPTS();
		if (result->part_count > POSTRIDER_TEMPLATE_MAX_PLACES)
			return postrider_problem(compile->problem, NULL,
									 "the template has more than %d places",
									 POSTRIDER_TEMPLATE_MAX_PLACES);
		if (result->part_count == allocated)
		{
			allocated *= 2;
			result->parts = repalloc(result->parts,
									 allocated * sizeof(TemplatePart));
		}
		part = &result->parts[result->part_count++];
		memset(part, 0, sizeof(TemplatePart));
		set_literal(part, compile->at, length);
		postrider_template_scan(&compile->scan, compile->at, length);
		if (place == NULL)
			return postrider_template_scan_end(&compile->scan, compile->problem);
		compile->at = place;
		if (!compile_place(compile, part))
			return false;
	}
}

/* Would the template be JSON, whatever the values are? */
static bool
check_json(const Template *template, Problem *problem)
{
	StringInfoData trial;
	bool		fits;

	initStringInfo(&trial);
	for (int i = 0; i < template->part_count; i++)
	{
		const TemplatePart *part = &template->parts[i];

		appendBinaryStringInfo(&trial, part->literal, part->literal_length);
		if (part->has_place && part->escape == ESCAPE_JSON_VALUE)
			appendStringInfoString(&trial, "null");
	}
	fits = postrider_json_parse(trial.data, trial.len,
								4 * POSTRIDER_TEMPLATE_MAX) != NULL;
	if (!fits)
		postrider_problem(problem, "A place outside quotes stands for a whole JSON value with its quotes; within quotes it is a part of a string.",
						  "the template is no JSON");
	pfree(trial.data);
	return fits;
}

Template *
postrider_template_compile(const char *source, TemplateContext context,
						   bool batch, Problem *problem)
{
	Compile		compile = {0};

	if (strlen(source) > POSTRIDER_TEMPLATE_MAX)
	{
		postrider_problem(problem, NULL, "the template is longer than %d bytes",
						  POSTRIDER_TEMPLATE_MAX);
		return NULL;
	}
	compile.source = compile.at = source;
	compile.batch = batch;
	compile.problem = problem;
	compile.result = palloc0(sizeof(Template));
	compile.result->context = context;
	postrider_template_scan_start(&compile.scan, context);
	if (!compile_parts(&compile))
		return NULL;
	if (batch && compile.records == 0)
	{
		postrider_problem(problem, "Write for example {\"inputs\": [{{records}}]}.",
						  "the envelope has no place for the records");
		return NULL;
	}
	if ((context == TEMPLATE_JSON || context == TEMPLATE_GRAPHQL) &&
		!check_json(compile.result, problem))
		return NULL;
	return compile.result;
}

bool
postrider_template_is_constant(const Template *template)
{
	for (int i = 0; i < template->part_count; i++)
		if (template->parts[i].has_place)
			return false;
	return true;
}
