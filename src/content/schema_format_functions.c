/*-------------------------------------------------------------------------
 *
 * schema_format_functions.c
 *	  postrider.is_format and postrider.matches.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_format.h"
#include "content/schema_pattern.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(postrider_is_format);
PG_FUNCTION_INFO_V1(postrider_matches);

/*
 * The text of an argument as UTF-8: where it stands if the server encoding
 * is that, else a copy.
 */
static const char *
text_as_utf8(const text *value, int *len)
{
	const char *bytes = VARDATA_ANY(value);
	char	   *converted;

	*len = VARSIZE_ANY_EXHDR(value);
	if (GetDatabaseEncoding() == PG_UTF8)
		return bytes;
	converted = pg_server_to_any(bytes, *len, PG_UTF8);
	if (converted != bytes)
		*len = strlen(converted);
	return converted;
}

pg_noreturn static void report_unknown_format(const char *name, int len);

static void
report_unknown_format(const char *name, int len)
{
	StringInfoData known;

	initStringInfo(&known);
	for (int i = 0; i < postrider_schema_format_count(); i++)
		appendStringInfo(&known, "%s%s", i == 0 ? "" : ", ",
						 postrider_schema_format_get(i)->name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no format \"%.*s\"",
					pg_mbcliplen(name, len, 100), name),
			 errhint("Known formats are %s.", known.data)));
}

/* SQL: postrider.is_format(value, format) */
Datum
postrider_is_format(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	text	   *name = PG_GETARG_TEXT_PP(1);
	const SchemaFormat *format;
	const char *bytes;
	int			len;

	format = postrider_schema_format_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	if (format == NULL)
		report_unknown_format(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	bytes = text_as_utf8(value, &len);
	PG_RETURN_BOOL(format->check(bytes, len));
}

/* The pattern of the last call at a place in a query, compiled. */
typedef struct MatchesCache
{
	MemoryContext context;		/* of the pattern, and of source */
	SchemaPattern *pattern;
	char	   *source;
	int			len;
} MatchesCache;

static SchemaPattern *
cached_pattern(FmgrInfo *flinfo, const char *source, int len)
{
	MatchesCache *cache = flinfo->fn_extra;
	MemoryContext old;
	char	   *problem;

	if (cache != NULL && cache->pattern != NULL && cache->len == len &&
		memcmp(cache->source, source, len) == 0)
		return cache->pattern;

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(MatchesCache));
		cache->context = AllocSetContextCreate(flinfo->fn_mcxt, "postrider pattern",
											   ALLOCSET_SMALL_SIZES);
		flinfo->fn_extra = cache;
	}
	cache->pattern = NULL;
	MemoryContextReset(cache->context);
	old = MemoryContextSwitchTo(cache->context);
	cache->source = pnstrdup(source, len);
	cache->len = len;
	cache->pattern = postrider_schema_pattern_compile(source, len, &problem);
	MemoryContextSwitchTo(old);
	if (cache->pattern == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_REGULAR_EXPRESSION),
				 errmsg("invalid pattern: %s", problem),
				 errhint("Patterns are ECMAScript regular expressions with the flag u.")));
	return cache->pattern;
}

/* SQL: postrider.matches(value, pattern) */
Datum
postrider_matches(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	text	   *pattern = PG_GETARG_TEXT_PP(1);
	SchemaPattern *compiled;
	const char *bytes;
	int			len;

	bytes = text_as_utf8(pattern, &len);
	compiled = cached_pattern(fcinfo->flinfo, bytes, len);
	bytes = text_as_utf8(value, &len);
	PG_RETURN_BOOL(postrider_schema_pattern_matches(compiled, bytes, len));
}
