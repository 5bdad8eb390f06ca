/*-------------------------------------------------------------------------
 *
 * trigger_row.c
 *	  The row that a trigger on a configuration table is to check.
 *
 * Columns are found by name and their types compared, for anybody who may
 * call the triggers' functions can put them on a table of his own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "outbox/trigger_row.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

TriggerRow
postrider_trigger_row(FunctionCallInfo fcinfo, const char *function)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TriggerRow	row = {0};

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called before insert or update for each row",
						function)));
	row.desc = RelationGetDescr(trigger->tg_relation);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		row.tuple = trigger->tg_newtuple;
		row.old_tuple = trigger->tg_trigtuple;
	}
	else
		row.tuple = trigger->tg_trigtuple;
	return row;
}

int
postrider_trigger_column(const TriggerRow *row, const char *column, Oid type)
{
	int			number = SPI_fnumber(row->desc, column);

	if (number <= 0 || SPI_gettypeid(row->desc, number) != type)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("table has no column \"%s\" of type %s", column,
						format_type_be(type))));
	return number;
}

Datum
postrider_trigger_get(const TriggerRow *row, HeapTuple tuple, const char *column,
				  Oid type, bool *isnull)
{
	return heap_getattr(tuple, postrider_trigger_column(row, column, type), row->desc,
						isnull);
}

char *
postrider_trigger_text(const TriggerRow *row, HeapTuple tuple, const char *column)
{
	bool		isnull;
	Datum		value = postrider_trigger_get(row, tuple, column, TEXTOID, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

bool
postrider_trigger_get_new(const TriggerRow *row, const char *column, Oid type,
					  Datum *value)
{
	Form_pg_attribute attribute;
	Datum		old_value;
	bool		isnull;

	*value = postrider_trigger_get(row, row->tuple, column, type, &isnull);
	if (isnull || row->old_tuple == NULL)
		return !isnull;
	old_value = postrider_trigger_get(row, row->old_tuple, column, type, &isnull);
	if (isnull)
		return true;
	attribute = TupleDescAttr(row->desc, postrider_trigger_column(row, column, type) - 1);
	return !datum_image_eq(*value, old_value, attribute->attbyval,
						   attribute->attlen);
}

bool
postrider_trigger_changed(const TriggerRow *row, const char *column, Oid type)
{
	Datum		value;
	bool		isnull;
	bool		was_null;

	if (row->old_tuple == NULL)
		return true;
	(void) postrider_trigger_get(row, row->tuple, column, type, &isnull);
	(void) postrider_trigger_get(row, row->old_tuple, column, type, &was_null);
	return isnull != was_null || postrider_trigger_get_new(row, column, type, &value);
}

char *
postrider_trigger_new_text(const TriggerRow *row, const char *column)
{
	Datum		value;

	return postrider_trigger_get_new(row, column, TEXTOID, &value) ?
		TextDatumGetCString(value) : NULL;
}

TimestampTz
postrider_trigger_time(void)
{
	return check_function_bodies ? GetCurrentTimestamp() : 0;
}

void
postrider_trigger_refuse(const TriggerRow *row, const char *column,
					 const char *problem, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s of endpoint \"%s\" %s", column, row->endpoint, problem),
			 hint ? errhint("%s", hint) : 0));
}
