/*-------------------------------------------------------------------------
 *
 * options.c
 *	  JSON objects that people write to configure something; see options.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "security/options.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/varlena.h"

#define MAX_DISTANCE 2
#define MAX_SHOWN_NAME 40

bool
postrider_options_refuse(Options *options, const char *hint, const char *format,...)
{
	StringInfoData clause;
	int			needed;
	va_list		arguments;

	if (options->problem != NULL)
		return false;
	initStringInfo(&clause);
	if (options->position[0])
		appendStringInfo(&clause, "%s ", options->position);
	for (;;)
	{
		va_start(arguments, format);
		needed = appendStringInfoVA(&clause, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&clause, needed);
	}
	options->problem = clause.data;
	options->hint = hint;
	return false;
}

const char *
postrider_options_nearest(const char *word, const char *const *candidates)
{
	const char *best = NULL;
	int			best_distance = MAX_DISTANCE + 1;

	if (strlen(word) > MAX_SHOWN_NAME)
		return NULL;
	for (; *candidates != NULL; candidates++)
	{
		int			distance = varstr_levenshtein_less_equal(word, strlen(word), *candidates,
															 strlen(*candidates), 1, 1, 1,
															 best_distance, true);

		if (distance < best_distance && distance < (int) strlen(*candidates) - 1)
		{
			best = *candidates;
			best_distance = distance;
		}
	}
	return best;
}

bool
postrider_options_is_name(const char *given)
{
	static const char *const prefixes[] = {
		"whsec_", "whsk_", "sk_", "sk-", "pk_", "rk_", "ghp_", "gho_", "github_pat_", "glpat-",
		"xoxb-", "xoxp-", "xapp-", "akia", "asia", "eyj", "bearer ", "basic ", "ya29.", "sg.", "pat-", "hf_"
	};
	int			digits = 0;
	bool		lower = false;
	bool		upper = false;

	if (strlen(given) > MAX_SHOWN_NAME || !isalpha((unsigned char) given[0]))
		return false;
	for (int i = 0; i < (int) lengthof(prefixes); i++)
		if (pg_strncasecmp(given, prefixes[i], strlen(prefixes[i])) == 0)
			return false;
	for (const char *c = given; *c; c++)
	{
		lower = lower || (*c >= 'a' && *c <= 'z');
		upper = upper || (*c >= 'A' && *c <= 'Z');
		digits += *c >= '0' && *c <= '9';
		if (isdigit((unsigned char) *c) && isalpha((unsigned char) c[1]))
			return false;
		if (!isalnum((unsigned char) *c) && strchr("_-. ", *c) == NULL)
			return false;
	}
	return digits <= 4 && !(lower && upper && digits > 0);
}

void
postrider_options_check_keys(Options *options, const char *const *known)
{
	JsonbIterator *it = JsonbIteratorInit(options->object);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		const char *const *word = known;
		const char *meant;
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		while (*word != NULL && strcmp(*word, name) != 0)
			word++;
		if (*word != NULL)
			continue;
		meant = postrider_options_nearest(name, known);
		if (!postrider_options_is_name(name))
			(void) postrider_options_refuse(options, NULL, "has an unknown key");
		else if (meant)
			(void) postrider_options_refuse(options, NULL, "has an unknown key \"%s\", perhaps \"%s\" was meant",
											name, meant);
		else
			(void) postrider_options_refuse(options, NULL, "has an unknown key \"%s\"", name);
	}
}

static bool
get(const Options *options, const char *key, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(options->object, key, strlen(key), value) != NULL;
}

bool
postrider_options_has(const Options *options, const char *key)
{
	JsonbValue	value;

	return get(options, key, &value);
}

char *
postrider_options_text(Options *options, const char *key, const char *default_value)
{
	JsonbValue	value;

	if (!get(options, key, &value))
		return default_value ? pstrdup(default_value) : NULL;
	if (value.type != jbvString)
		(void) postrider_options_refuse(options, NULL, "has a \"%s\" that is no string", key);
	else if (value.val.string.len == 0)
		(void) postrider_options_refuse(options, NULL, "has an empty \"%s\"", key);
	else
		return pnstrdup(value.val.string.val, value.val.string.len);
	return pstrdup("");
}

char *
postrider_options_required_text(Options *options, const char *key)
{
	if (!postrider_options_has(options, key))
		(void) postrider_options_refuse(options, NULL, "needs a \"%s\"", key);
	return postrider_options_text(options, key, "");
}

static void
add_secret(Options *options, char *name)
{
	ListCell   *cell;

	foreach(cell, options->secrets)
		if (strcmp(lfirst(cell), name) == 0)
			return;
	options->secrets = lappend(options->secrets, name);
}

char *
postrider_options_secret(Options *options, const char *key)
{
	char	   *name = postrider_options_text(options, key, NULL);

	if (name == NULL || name[0] == '\0')
		return NULL;
	add_secret(options, name);
	return name;
}

char *
postrider_options_required_secret(Options *options, const char *key)
{
	if (!postrider_options_has(options, key))
		(void) postrider_options_refuse(options, "Store the value with postrider.set_secret(), and write its name here.",
										"needs a \"%s\", the name of a secret", key);
	return postrider_options_secret(options, key);
}

bool
postrider_options_bool(Options *options, const char *key, bool default_value)
{
	JsonbValue	value;

	if (!get(options, key, &value))
		return default_value;
	if (value.type == jbvBool)
		return value.val.boolean;
	return postrider_options_refuse(options, NULL, "has a \"%s\" that is neither true nor false", key);
}

int
postrider_options_choice(Options *options, const char *key, const OptionChoice *choices,
						 int default_value)
{
	char	   *name = postrider_options_text(options, key, NULL);
	StringInfoData all;

	if (name == NULL)
		return default_value;
	initStringInfo(&all);
	for (const OptionChoice *choice = choices; choice->name; choice++)
	{
		if (strcmp(choice->name, name) == 0)
			return choice->value;
		appendStringInfo(&all, "%s%s", choice == choices ? "" : ", ", choice->name);
	}
	(void) postrider_options_refuse(options, psprintf("It is one of: %s.", all.data),
									"has a \"%s\" that is unknown", key);
	return default_value;
}

int
postrider_options_integer(Options *options, const char *key, int least, int most,
						  int default_value)
{
	JsonbValue	value;
	const char *digits;
	char	   *end;
	long		number;

	if (!get(options, key, &value))
		return default_value;
	digits = value.type != jbvNumeric ? "none" :
		DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
	number = strtol(digits, &end, 10);
	if (*end == '\0' && number >= least && number <= most)
		return (int) number;
	(void) postrider_options_refuse(options, NULL, "has a \"%s\" that is no number from %d to %d",
									key, least, most);
	return default_value;
}

bool
postrider_options_object(Options *options, const char *key, Options *within)
{
	JsonbValue	value;

	memset(within, 0, sizeof(*within));
	if (!get(options, key, &value))
		return false;
	if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
		return postrider_options_refuse(options, NULL, "has a \"%s\" that is no object", key);
	within->object = value.val.binary.data;
	within->position = options->position[0] ? psprintf("%s.%s", options->position, key) : pstrdup(key);
	return true;
}

List *
postrider_options_texts(Options *options, const char *key)
{
	JsonbValue	value;
	JsonbValue	element;
	JsonbIterator *it;
	JsonbIteratorToken token;
	List	   *texts = NIL;

	if (!get(options, key, &value))
		return NIL;
	if (value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data) ||
		JsonContainerIsScalar(value.val.binary.data))
	{
		(void) postrider_options_refuse(options, NULL, "has a \"%s\" that is no array of strings", key);
		return NIL;
	}
	it = JsonbIteratorInit(value.val.binary.data);
	while ((token = JsonbIteratorNext(&it, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (element.type == jbvString)
			texts = lappend(texts, pnstrdup(element.val.string.val, element.val.string.len));
		else
			(void) postrider_options_refuse(options, NULL, "has a \"%s\" that is no array of strings", key);
	}
	return texts;
}

void
postrider_options_join(Options *options, const Options *within)
{
	ListCell   *cell;

	if (options->problem == NULL)
	{
		options->problem = within->problem;
		options->hint = within->hint;
	}
	options->fetch_secrets = list_concat(options->fetch_secrets, within->fetch_secrets);
	options->urls = list_concat(options->urls, within->urls);
	options->certificates = list_concat(options->certificates, within->certificates);
	foreach(cell, within->secrets)
		add_secret(options, lfirst(cell));
}

bool
postrider_options_check_header(Options *options, const char *name)
{
	static const char *const others[] = {
		"host", "content-length", "transfer-encoding", "connection", "proxy-connection", "keep-alive",
		"te", "trailer", "upgrade", "expect", "http2-settings"
	};

	if (name[0] == '\0' ||
		strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(name))
		return postrider_options_refuse(options, "Write, for example, \"X-Api-Key\".",
										"has a header whose name cannot be sent");
	for (int i = 0; i < (int) lengthof(others); i++)
		if (pg_strcasecmp(others[i], name) == 0)
			return postrider_options_refuse(options, NULL,
											"has a header \"%s\", which postrider sets or leaves out itself", others[i]);
	return true;
}

Jsonb *
postrider_options_copy(JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &value : NULL);
	return JsonbValueToJsonb(result);
}
