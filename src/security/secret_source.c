/*-------------------------------------------------------------------------
 *
 * secret_source.c
 *	  Where the value of a secret is: from a document to its compiled form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/certificate.h"
#include "security/secret_source.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define MAX_TEXT_BYTES 2000
#define LONGEST_MEMBER 60		/* that is shown; no name is so long */

#define SECOND_MS INT64CONST(1000)
#define HOUR_MS (60 * 60 * SECOND_MS)
#define DAY_MS (24 * HOUR_MS)

#define DEFAULT_GRACE_MS HOUR_MS
#define DEFAULT_OVERLAP_MS HOUR_MS

static const SourceKind *const kinds[] = {
	&postrider_source_vault,
	&postrider_source_aws,
	&postrider_source_azure,
	&postrider_source_file,
	&postrider_source_environment
};

/* Members of all kinds. */
static const struct
{
	const char *name;
	Size		offset;			/* in SecretSource; 0: it is "store" */
	int64		least_ms;
	int64		most_ms;
}			common_members[] = {
	{"store", 0, 0, 0},
	{"refresh", offsetof(SecretSource, refresh_ms), SECOND_MS, 7 * DAY_MS},
	{"grace", offsetof(SecretSource, grace_ms), 0, 30 * DAY_MS},
	{"overlap", offsetof(SecretSource, overlap_ms), 0, 30 * DAY_MS}
};

/* What a document is compiled from and to. */
typedef struct Compilation
{
	SecretSource *source;
	const char **problem;
	const char **hint;
} Compilation;

static bool
fail(Compilation *compilation, const char *problem, const char *hint)
{
	*compilation->problem = problem;
	*compilation->hint = hint;
	return false;
}

static int
member_number(const SourceKind *kind, const char *name)
{
	for (int i = 0; kind->members[i].name != NULL; i++)
		if (strcmp(kind->members[i].name, name) == 0)
			return i;
	return -1;
}

const char *
postrider_source_value(const SecretSource *source, const char *name)
{
	int			number = member_number(source->kind, name);

	Assert(number >= 0);
	return source->values[number];
}

const char *
postrider_source_or(const SecretSource *source, const char *name, const char *otherwise)
{
	const char *value = postrider_source_value(source, name);

	return value ? value : otherwise;
}

List *
postrider_secret_source_secrets(const SecretSource *source)
{
	List	   *result = NIL;

	for (int i = 0; source->kind->members[i].name != NULL; i++)
		if (source->kind->members[i].type == SOURCE_SECRET && source->values[i] != NULL)
			result = lappend(result, unconstify(char *, source->values[i]));
	return result;
}

const char *
postrider_secret_source_certificates(const SecretSource *source)
{
	for (int i = 0; source->kind->members[i].name != NULL; i++)
		if (source->kind->members[i].type == SOURCE_CERTIFICATES)
			return source->values[i];
	return NULL;
}

char *
postrider_source_encode(const char *string, bool keep_slashes)
{
	StringInfoData result;

	initStringInfo(&result);
	for (const char *c = string; *c; c++)
	{
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			strchr("-._~", *c) != NULL || (keep_slashes && *c == '/'))
			appendStringInfoChar(&result, *c);
		else
			appendStringInfo(&result, "%%%02X", (unsigned char) *c);
	}
	return result.data;
}

char *
postrider_source_base(const char *url)
{
	Size		length = strlen(url);

	while (length > 0 && url[length - 1] == '/')
		length--;
	return pnstrdup(url, length);
}

static void
push_member(JsonbParseState **state, const char *name, const char *value)
{
	JsonbValue	item = {.type = jbvString};

	item.val.string.val = unconstify(char *, name);
	item.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &item);
	item.val.string.val = unconstify(char *, value);
	item.val.string.len = strlen(value);
	pushJsonbValue(state, WJB_VALUE, &item);
}

Jsonb *
postrider_source_object(const SourcePair *pairs, int count)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < count; i++)
		if (pairs[i].value != NULL)
			push_member(&state, pairs[i].name, pairs[i].value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* A clause that says which name was perhaps meant; "" if none is near. */
static const char *
perhaps(const char *word, const char *candidate, int *best, const char *so_far)
{
	int			distance;
	Size		length = strlen(word);

	if (length > LONGEST_MEMBER)
		return so_far;
	distance = varstr_levenshtein_less_equal(word, length, candidate, strlen(candidate),
											 1, 1, 1, *best, true);
	if (distance >= *best)
		return so_far;
	*best = distance;
	return psprintf(", perhaps \"%s\" was meant", candidate);
}

static const char *
perhaps_member(const SourceKind *kind, const char *word)
{
	int			best = 4;
	const char *result = "";

	for (int i = 0; kind->members[i].name != NULL; i++)
		result = perhaps(word, kind->members[i].name, &best, result);
	for (int i = 0; i < (int) lengthof(common_members); i++)
		result = perhaps(word, common_members[i].name, &best, result);
	return result;
}

static const char *
perhaps_store(const char *word)
{
	int			best = 4;
	const char *result = "";

	for (int i = 0; i < (int) lengthof(kinds); i++)
		result = perhaps(word, kinds[i]->name, &best, result);
	return result;
}

static const char *
member_list(const SourceKind *kind)
{
	StringInfoData list;

	initStringInfo(&list);
	appendStringInfo(&list, "A source with \"store\": \"%s\" has the members", kind->name);
	for (int i = 0; kind->members[i].name != NULL; i++)
		appendStringInfo(&list, " %s%s,", kind->members[i].name,
						 kind->members[i].required ? " (required)" : "");
	appendStringInfoString(&list, " refresh, grace and overlap.");
	return list.data;
}

/* A member that is a string, as a string; NULL if it is none. */
static char *
string_of(const JsonbValue *value)
{
	return value->type == jbvString ?
		pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

/* A span of time as interval reads it; -1 if it is none. */
static int64
span_of(const char *string)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int64 result = -1;

	PG_TRY();
	{
		Interval   *interval;

		interval = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(string),
														 ObjectIdGetDatum(InvalidOid),
														 Int32GetDatum(-1)));
		if (interval->month == 0)
			result = interval->day * DAY_MS + interval->time / 1000;
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return result;
}

static bool
compile_common(Compilation *compilation, int number, const JsonbValue *value)
{
	const char *name = common_members[number].name;
	char	   *string = string_of(value);
	int64		span;

	if (common_members[number].offset == 0)
		return true;
	span = string ? span_of(string) : -1;
	if (span < common_members[number].least_ms || span > common_members[number].most_ms)
		return fail(compilation,
					psprintf("has no time as \"%s\" that can be used", name),
					psprintf("Write \"5 minutes\", or any other interval of " INT64_FORMAT
							 " to " INT64_FORMAT " seconds.",
							 common_members[number].least_ms / SECOND_MS,
							 common_members[number].most_ms / SECOND_MS));
	*(int64 *) ((char *) compilation->source + common_members[number].offset) = span;
	return true;
}

static bool
check_length(Compilation *compilation, const char *name, const char *string, Size most)
{
	if (string == NULL || string[0] == '\0')
		return fail(compilation, psprintf("has no text as \"%s\"", name), NULL);
	if (strlen(string) > most)
		return fail(compilation, psprintf("has a \"%s\" of more than %zu bytes", name, most),
					NULL);
	return true;
}

static bool
check_text(Compilation *compilation, const char *name, const char *string)
{
	if (!check_length(compilation, name, string, MAX_TEXT_BYTES))
		return false;
	for (const char *c = string; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return fail(compilation,
						psprintf("has a control character in \"%s\"", name), NULL);
	return true;
}

/* The rest is looked at by the guard, when it is written and when it is dialled. */
static bool
check_url(Compilation *compilation, const char *name, const char *string)
{
	if (strpbrk(string, "?#") != NULL)
		return fail(compilation, psprintf("has a \"%s\" with a query or a fragment", name),
					"Leave out everything from the question mark on.");
	return true;
}

/* Numbers are kept as text. */
static const char *
number_text(const JsonbValue *value)
{
	char	   *string;

	if (value->type == jbvNumeric)
		string = DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	else
		string = string_of(value);
	if (string == NULL || string[0] == '\0' || strlen(string) > 9 ||
		strspn(string, "0123456789") != strlen(string))
		return NULL;
	return string;
}

static bool
compile_member(Compilation *compilation, int number, const JsonbValue *value)
{
	const SourceMember *member = &compilation->source->kind->members[number];
	const char *string;

	if (member->type == SOURCE_NUMBER)
	{
		string = number_text(value);
		if (string == NULL)
			return fail(compilation, psprintf("has no whole number as \"%s\"", member->name),
						NULL);
	}
	else if (member->type == SOURCE_CERTIFICATES)
	{
		string = string_of(value);
		if (!check_length(compilation, member->name, string, CERTIFICATE_MAX_BYTES))
			return false;
	}
	else
	{
		string = string_of(value);
		if (!check_text(compilation, member->name, string))
			return false;
		if (member->type == SOURCE_URL && !check_url(compilation, member->name, string))
			return false;
	}
	compilation->source->values[number] = string;
	return true;
}

static bool
compile_members(Compilation *compilation, JsonbContainer *object)
{
	const SourceKind *kind = compilation->source->kind;
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;
	char	   *key = NULL;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		int			number;
		int			common = 0;

		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		if (token != WJB_VALUE)
			continue;
		Assert(key != NULL);
		number = member_number(kind, key);
		while (number < 0 && common < (int) lengthof(common_members) &&
			   strcmp(common_members[common].name, key) != 0)
			common++;
		if (number < 0 && common == (int) lengthof(common_members))
			return fail(compilation,
						strlen(key) > LONGEST_MEMBER ? "has an unknown member" :
						psprintf("has an unknown member \"%s\"%s", key,
								 perhaps_member(kind, key)),
						member_list(kind));
		if (number >= 0 ? !compile_member(compilation, number, &value) :
			!compile_common(compilation, common, &value))
			return false;
	}
	for (int i = 0; kind->members[i].name != NULL; i++)
		if (kind->members[i].required && compilation->source->values[i] == NULL)
			return fail(compilation, psprintf("has no \"%s\"", kind->members[i].name),
						member_list(kind));
	return true;
}

static bool
find_kind(Compilation *compilation, JsonbContainer *object)
{
	static const char *const hint = "\"store\" is one of vault, aws, azure, file, environment.";
	JsonbValue	space;
	JsonbValue *value = getKeyJsonValueFromContainer(object, "store", strlen("store"), &space);
	char	   *name = value ? string_of(value) : NULL;

	if (name == NULL)
		return fail(compilation, "has no \"store\"", hint);
	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			compilation->source->kind = kinds[i];
	if (compilation->source->kind == NULL)
		return fail(compilation, psprintf("has an unknown \"store\"%s", perhaps_store(name)),
					hint);
	return true;
}

SecretSource *
postrider_secret_source_compile(const SourceKind *kind, const Jsonb *document,
								const char **problem, const char **hint)
{
	SecretSource *source = palloc0(sizeof(SecretSource));
	Compilation compilation = {.source = source, .problem = problem, .hint = hint};
	JsonbContainer *object = &unconstify(Jsonb *, document)->root;

	*problem = NULL;
	*hint = NULL;
	source->kind = kind;
	if (!JsonContainerIsObject(object))
	{
		(void) fail(&compilation, "is no object", NULL);
		return NULL;
	}
	if (kind == NULL && !find_kind(&compilation, object))
		return NULL;
	source->refresh_ms = source->kind->refresh_ms;
	source->grace_ms = DEFAULT_GRACE_MS;
	source->overlap_ms = DEFAULT_OVERLAP_MS;
	if (!compile_members(&compilation, object) ||
		(source->kind->check != NULL && !source->kind->check(source, problem, hint)))
		return NULL;
	return source;
}
