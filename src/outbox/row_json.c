/*-------------------------------------------------------------------------
 *
 * row_json.c
 *	  Rows of watched tables as jsonb.
 *
 * to_jsonb(row) would do the same and looks up each column's type for every
 * row.  Here that is done once per trigger, and the common types go
 * straight to their JSON form; the rest is left to to_jsonb() itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "outbox/row_json.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

static ColumnKind
kind_of(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return COLUMN_BOOL;
		case INT2OID:
			return COLUMN_INT2;
		case INT4OID:
			return COLUMN_INT4;
		case INT8OID:
			return COLUMN_INT8;
		case NUMERICOID:
			return COLUMN_NUMERIC;
		case TEXTOID:
		case VARCHAROID:
			return COLUMN_TEXT;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return COLUMN_DATETIME;
		case JSONBOID:
			return COLUMN_JSONB;
		case UUIDOID:
		case BPCHAROID:
		case NAMEOID:
		case TIMEOID:
		case TIMETZOID:
		case INTERVALOID:
		case INETOID:
		case BYTEAOID:
			return COLUMN_SCALAR;
		default:
			return type_is_enum(type) ? COLUMN_SCALAR : COLUMN_OTHER;
	}
}

void
postrider_row_column_init(RowColumn *column, Form_pg_attribute attribute,
						  MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Oid			output;
	bool		is_varlena;

	column->number = attribute->attnum;
	column->name = pstrdup(NameStr(attribute->attname));
	column->name_length = strlen(column->name);
	column->type = getBaseType(attribute->atttypid);
	column->length = attribute->attlen;
	column->by_value = attribute->attbyval;
	column->kind = kind_of(column->type);

	if (column->kind == COLUMN_OTHER)
	{
		/* to_jsonb() learns the type of its argument from the expression. */
		Param	   *argument = makeNode(Param);
		FuncExpr   *call;

		argument->paramkind = PARAM_EXTERN;
		argument->paramtype = attribute->atttypid;
		argument->paramtypmod = -1;
		call = makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument),
							InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
		fmgr_info_cxt(F_TO_JSONB, &column->function, context);
		fmgr_info_set_expr((Node *) call, &column->function);
	}
	else
	{
		getTypeOutputInfo(column->type, &output, &is_varlena);
		fmgr_info_cxt(output, &column->function, context);
	}
	MemoryContextSwitchTo(old);
}

static void
set_string(JsonbValue *result, char *string, int length)
{
	result->type = jbvString;
	result->val.string.val = string;
	result->val.string.len = length;
}

static void
set_numeric(JsonbValue *result, Numeric number)
{
	result->type = jbvNumeric;
	result->val.numeric = number;
}

static void
set_jsonb(JsonbValue *result, Jsonb *value)
{
	if (JsonbExtractScalar(&value->root, result))
		return;
	result->type = jbvBinary;
	result->val.binary.data = &value->root;
	result->val.binary.len = VARSIZE(value) - VARHDRSZ;
}

static void
convert(const RowColumn *column, Datum value, JsonbValue *result)
{
	FmgrInfo   *function = unconstify(FmgrInfo *, &column->function);

	switch (column->kind)
	{
		case COLUMN_BOOL:
			result->type = jbvBool;
			result->val.boolean = DatumGetBool(value);
			return;
		case COLUMN_INT2:
			set_numeric(result, int64_to_numeric(DatumGetInt16(value)));
			return;
		case COLUMN_INT4:
			set_numeric(result, int64_to_numeric(DatumGetInt32(value)));
			return;
		case COLUMN_INT8:
			set_numeric(result, int64_to_numeric(DatumGetInt64(value)));
			return;
		case COLUMN_NUMERIC:
			{
				Numeric		number = DatumGetNumeric(value);

				/* JSON has neither NaN nor infinity. */
				if (numeric_is_nan(number) || numeric_is_inf(number))
					break;
				set_numeric(result, number);
				return;
			}
		case COLUMN_TEXT:
			{
				text	   *string = DatumGetTextPP(value);

				set_string(result, VARDATA_ANY(string),
						   VARSIZE_ANY_EXHDR(string));
				return;
			}
		case COLUMN_DATETIME:
			{
				char	   *buffer = palloc(MAXDATELEN + 1);

				JsonEncodeDateTime(buffer, value, column->type, NULL);
				set_string(result, buffer, strlen(buffer));
				return;
			}
		case COLUMN_JSONB:
			set_jsonb(result, DatumGetJsonbP(value));
			return;
		case COLUMN_OTHER:
			set_jsonb(result, DatumGetJsonbP(FunctionCall1(function, value)));
			return;
		case COLUMN_SCALAR:
			break;
	}
	{
		char	   *string = OutputFunctionCall(function, value);

		set_string(result, string, strlen(string));
	}
}

void
postrider_row_push(JsonbParseState **state, const RowColumn *columns,
				   int column_count, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < column_count; i++)
	{
		const RowColumn *column = &columns[i];
		JsonbValue	item;

		set_string(&item, column->name, column->name_length);
		pushJsonbValue(state, WJB_KEY, &item);
		if (slot->tts_isnull[column->number - 1])
			item.type = jbvNull;
		else
			convert(column, slot->tts_values[column->number - 1], &item);
		pushJsonbValue(state, WJB_VALUE, &item);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

char *
postrider_row_text(const RowColumn *column, TupleTableSlot *slot)
{
	Oid			output;
	bool		is_varlena;
	Datum		value;
	bool		isnull;

	value = slot_getattr(slot, column->number, &isnull);
	if (isnull)
		return NULL;
	if (column->kind != COLUMN_OTHER)
		return OutputFunctionCall(unconstify(FmgrInfo *, &column->function), value);
	getTypeOutputInfo(column->type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}
