/*-------------------------------------------------------------------------
 *
 * mask_functions.c
 *	  SQL: masking of payloads and texts; see mask.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "content/mask.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(postrider_sensitive_path_problem);
PG_FUNCTION_INFO_V1(postrider_mask_payload);
PG_FUNCTION_INFO_V1(postrider_mask_string);

/* SQL: postrider.sensitive_path_problem(path): NULL if it can be used */
Datum
postrider_sensitive_path_problem(PG_FUNCTION_ARGS)
{
	const char *problem;

	if (postrider_mask_path_compile(PG_GETARG_JSONPATH_P(0), &problem) != NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

static List *
compile_all(FunctionCallInfo fcinfo, int argument)
{
	ArrayType  *array;
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	List	   *result = NIL;

	if (PG_ARGISNULL(argument))
		return NIL;
	array = PG_GETARG_ARRAYTYPE_P(argument);
	deconstruct_array(array, JSONPATHOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		const char *problem;
		MaskPath   *path;

		if (nulls[i])
			continue;
		path = postrider_mask_path_compile(DatumGetJsonPathP(elements[i]), &problem);
		if (path == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("path of a sensitive field %s", problem),
					 errhint("For example $.customer.email or $.items[*].name.")));
		result = lappend(result, path);
	}
	return result;
}

/* SQL: postrider.mask_payload(payload, paths) */
Datum
postrider_mask_payload(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(postrider_mask_apply(PG_GETARG_JSONB_P(0), compile_all(fcinfo, 1)));
}

/* SQL: postrider.mask_string(string, payload, paths) */
Datum
postrider_mask_string(PG_FUNCTION_ARGS)
{
	char	   *string;
	char	   *masked = NULL;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	string = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		masked = postrider_mask_text(string, postrider_mask_values(PG_GETARG_JSONB_P(1),
																   compile_all(fcinfo, 2)));
	PG_RETURN_TEXT_P(cstring_to_text(masked ? masked : string));
}
