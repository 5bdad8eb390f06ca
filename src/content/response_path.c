/*-------------------------------------------------------------------------
 *
 * response_path.c
 *	  SQL/JSON paths on responses; see response_path.h.
 *
 * The functions that are called here only compute: they may be left by an
 * error without a subtransaction (see filter.c), and outside of a transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/response_path.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"

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
postrider_response_json(const char *body, Size length)
{
	Call		what = {0};

	if (length == 0 || memchr(body, '\0', length) != NULL ||
		!pg_verifymbstr(body, (int) length, true))
		return NULL;
	what.body = pnstrdup(body, length);
	return try_call(&what);
}

Jsonb *
postrider_response_values(Jsonb *response, JsonPath *path)
{
	Call		what = {.response = response, .path = path};

	return try_call(&what);
}
