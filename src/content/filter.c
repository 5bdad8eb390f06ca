/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Filters of subscriptions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/*
 * A path is a predicate if its outermost operation is one.  The literals true
 * and false are taken for predicates too, for a filter "false" that lets
 * everything through would surprise.
 */
static bool
is_predicate(JsonPath *filter)
{
	JsonPathItem root;

	jspInit(&root, filter);
	if (jspHasNext(&root))
		return false;
	switch (root.type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
		case jpiBool:
			return true;
		default:
			return false;
	}
}

/* The functions behind @@ and @?; both keep most errors to themselves. */
static bool
evaluate(Jsonb *payload, JsonPath *filter)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(payload);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(filter);
	fcinfo->args[1].isnull = false;

	if (is_predicate(filter))
		result = jsonb_path_match_opr(fcinfo);
	else
		result = jsonb_path_exists_opr(fcinfo);
	return !fcinfo->isnull && DatumGetBool(result);
}

/*
 * Some errors are raised even so: a comparison of times that needs the time
 * zone, a regular expression that is too complex for the value, a payload
 * nested too deep for the stack, from version 17 on an unknown variable.
 * Were they not caught, one such message would stop the worker at it for
 * ever.  To catch them without a subtransaction is sound because evaluation
 * is pure computation: it holds no lock, buffer or other resource.  An error
 * of any other kind, a cancelled query or exhausted memory, goes on.
 */
bool
postrider_is_error_of_data(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return true;
		default:
			return sqlerrcode == ERRCODE_UNDEFINED_OBJECT;
	}
}

bool
postrider_filter_matches(Jsonb *payload, JsonPath *filter)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		result = evaluate(payload, filter);
	}
	PG_CATCH();
	{
		if (!postrider_is_error_of_data(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		result = false;
	}
	PG_END_TRY();
	return result;
}

static bool
item_has_variable(JsonPathItem *item)
{
	JsonPathItem child;

	check_stack_depth();
	switch (item->type)
	{
		case jpiVariable:
			return true;

		case jpiAnd:
		case jpiOr:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
		case jpiStartsWith:
			jspGetLeftArg(item, &child);
			if (item_has_variable(&child))
				return true;
			jspGetRightArg(item, &child);
			if (item_has_variable(&child))
				return true;
			break;

		case jpiNot:
		case jpiIsUnknown:
		case jpiPlus:
		case jpiMinus:
		case jpiFilter:
		case jpiExists:
			jspGetArg(item, &child);
			if (item_has_variable(&child))
				return true;
			break;

		case jpiLikeRegex:
			jspInitByBuffer(&child, item->base, item->content.like_regex.expr);
			if (item_has_variable(&child))
				return true;
			break;

		case jpiIndexArray:
			for (int i = 0; i < item->content.array.nelems; i++)
			{
				JsonPathItem to;

				if (jspGetArraySubscript(item, &child, &to, i) &&
					item_has_variable(&to))
					return true;
				if (item_has_variable(&child))
					return true;
			}
			break;

		default:
			break;
	}
	return jspGetNext(item, &child) && item_has_variable(&child);
}

bool
postrider_filter_has_variable(JsonPath *filter)
{
	JsonPathItem root;

	jspInit(&root, filter);
	return item_has_variable(&root);
}
