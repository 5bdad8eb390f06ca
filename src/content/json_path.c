/*-------------------------------------------------------------------------
 *
 * json_path.c
 *	  SQL/JSON paths; see json_path.h.
 *
 * The functions that are called here only compute: they may be left by an
 * error without a subtransaction (see filter.c), and outside of a transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/json_path.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"

static bool
is_error_of_path(int sqlerrcode)
{
	return postrider_is_error_of_data(sqlerrcode) ||
		ERRCODE_TO_CATEGORY(sqlerrcode) ==
		ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION;
}

JsonPath *
postrider_json_path_parse(const char *string, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	JsonPath   *volatile path = NULL;

	PG_TRY();
	{
		path = DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in,
													 CStringGetDatum(string)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (!is_error_of_path(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		*problem = psprintf("is no path: %s", error->message);
	}
	PG_END_TRY();
	return path;
}

typedef struct Call
{
	const char *body;			/* for jsonb_in */
	Jsonb	   *response;		/* for jsonb_path_query_array */
	JsonPath   *path;
} Call;

static Jsonb *
call(const Call *what)
{
	if (what->body)
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(what->body)));
	return DatumGetJsonbP(DirectFunctionCall4(jsonb_path_query_array,
											  JsonbPGetDatum(what->response),
											  PointerGetDatum(what->path),
											  JsonbPGetDatum(call(&(Call) {.body = "{}"})),
											  BoolGetDatum(true)));
}

/* NULL if the call raises an error of data. */
static Jsonb *
try_call(const Call *what)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile result = NULL;

	PG_TRY();
	{
		result = call(what);
	}
	PG_CATCH();
	{
		if (!postrider_is_error_of_data(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return result;
}

Jsonb *
postrider_json_read(const char *body, Size length)
{
	Call		what = {0};

	if (length == 0 || memchr(body, '\0', length) != NULL ||
		!pg_verifymbstr(body, (int) length, true))
		return NULL;
	what.body = pnstrdup(body, length);
	return try_call(&what);
}

Jsonb *
postrider_json_path_values(Jsonb *response, JsonPath *path)
{
	Call		what = {.response = response, .path = path};

	return try_call(&what);
}
