/*-------------------------------------------------------------------------
 *
 * mapping_table.c
 *	  Mappings by name: the table postrider.mapping, its trigger, and the
 *	  functions in SQL that take a name.
 *
 * A version of a mapping never changes once it is there, so that it can be
 * said for ever how a message was made; a change is a new row.  Nor does its
 * number come back for something else when it is deleted: what waits, and
 * what the configuration was, may still name it.  That is known for as long
 * as the history of the configuration is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "content/mapping_functions.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "outbox/mapping_table.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(postrider_check_mapping_row);
PG_FUNCTION_INFO_V1(postrider_map_name);
PG_FUNCTION_INFO_V1(postrider_map_errors_name);
PG_FUNCTION_INFO_V1(postrider_describe_name);

static SqlStatement find_newest = {
	.text =
	"select m.definition from postrider.mapping m"
	" where m.name operator(pg_catalog.=) $1"
	" order by m.version desc limit 1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement find_version = {
	.text =
	"select m.definition from postrider.mapping m"
	" where m.name operator(pg_catalog.=) $1"
	" and m.version operator(pg_catalog.=) $2",
	.argument_count = 2,
	.argument_types = {TEXTOID, INT4OID}
};

/* Two inserts of the same name come one after the other. */
static SqlStatement lock_newest = {
	.text =
	"select 1 from postrider.mapping m"
	" where m.name operator(pg_catalog.=) $1"
	" order by m.version desc limit 1 for update",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

#define DELETED_VERSIONS \
	" from postrider.config_history h" \
	" where h.kind operator(pg_catalog.=) 'mapping'" \
	" and h.name operator(pg_catalog.=) $1" \
	" and h.operation operator(pg_catalog.=) any (array['delete', 'truncate'])"

static SqlStatement find_last_version = {
	.text =
	"select pg_catalog.max(v.version) from ("
	"select m.version from postrider.mapping m"
	" where m.name operator(pg_catalog.=) $1"
	" union all"
	" select (h.old operator(pg_catalog.->>) 'version')::pg_catalog.int4"
	DELETED_VERSIONS
	") v",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement find_other_definition = {
	.text =
	"select 1" DELETED_VERSIONS
	" and (h.old operator(pg_catalog.->>) 'version')::pg_catalog.int4"
	" operator(pg_catalog.=) $2"
	" and (h.old operator(pg_catalog.->) 'definition')"
	" operator(pg_catalog.<>) $3 limit 1",
	.argument_count = 3,
	.argument_types = {TEXTOID, INT4OID, JSONBOID}
};

Jsonb *
postrider_mapping_definition(const char *name, int32 version,
							 MemoryContext context)
{
	Datum		values[2] = {CStringGetTextDatum(name), Int32GetDatum(version)};
	Datum		value;
	bool		isnull;
	MemoryContext old;
	Jsonb	   *result;

	if (postrider_sql_run(version == 0 ? &find_newest : &find_version, values,
						  NULL, 1) == 0)
		return NULL;
	value = postrider_sql_datum(0, 0, &isnull);
	old = MemoryContextSwitchTo(context);
	result = DatumGetJsonbPCopy(value);
	MemoryContextSwitchTo(old);
	return result;
}

/*
 * By name, in a function
 */

/*
 * What the calls of one statement share: the definition that a name stood for
 * in a snapshot.  A call with an equal snapshot would find the same row.
 */
typedef struct Remembered
{
	char	   *name;			/* NULL: nothing yet */
	int32		version;
	Jsonb	   *definition;
	SubTransactionId subtransaction;
	TransactionId xmin;
	TransactionId xmax;
	CommandId	command;
	uint32		running_count;
	TransactionId *running;
} Remembered;

static bool
is_same_snapshot(const Remembered *remembered, Snapshot snapshot)
{
	return remembered->subtransaction == GetCurrentSubTransactionId() &&
		remembered->xmin == snapshot->xmin &&
		remembered->xmax == snapshot->xmax &&
		remembered->command == snapshot->curcid &&
		remembered->running_count == snapshot->xcnt &&
		(snapshot->xcnt == 0 ||
		 memcmp(remembered->running, snapshot->xip,
				snapshot->xcnt * sizeof(TransactionId)) == 0);
}

static void
forget(Remembered *remembered)
{
	if (remembered->name == NULL)
		return;
	pfree(remembered->name);
	pfree(remembered->definition);
	pfree(remembered->running);
	remembered->name = NULL;
}

static void
remember(Remembered *remembered, MemoryContext context, const char *name,
		 int32 version, Jsonb *definition, Snapshot snapshot)
{
	Size		size = (snapshot->xcnt + 1) * sizeof(TransactionId);

	remembered->version = version;
	remembered->definition = definition;
	remembered->subtransaction = GetCurrentSubTransactionId();
	remembered->xmin = snapshot->xmin;
	remembered->xmax = snapshot->xmax;
	remembered->command = snapshot->curcid;
	remembered->running_count = snapshot->xcnt;
	remembered->running = MemoryContextAlloc(context, size);
	if (snapshot->xcnt > 0)
		memcpy(remembered->running, snapshot->xip,
			   snapshot->xcnt * sizeof(TransactionId));
	remembered->name = MemoryContextStrdup(context, name);
}

static Jsonb *
find_definition(const char *name, int32 version, MemoryContext context)
{
	Jsonb	   *definition;
	SqlScope	sql;

	postrider_sql_enter(&sql);
	definition = postrider_mapping_definition(name, version, context);
	postrider_sql_leave(&sql);
	if (definition != NULL)
		return definition;
	if (version != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("mapping \"%s\" has no version %d", name, version),
				 errhint("Its versions are in the table postrider.mapping.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("mapping \"%s\" does not exist",
					strlen(name) > 200 || name[0] == '{' ? "..." : name),
			 name[0] == '{' ?
			 errhint("To try a definition, cast it to jsonb.") :
			 errhint("Mappings are in the table postrider.mapping.")));
	return NULL;
}

/* The mapping that the arguments name, the first of them being "argument". */
static const Mapping *
mapping_of_arguments(FunctionCallInfo fcinfo, int argument)
{
	Remembered *remembered = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	int32		version = PG_ARGISNULL(argument + 1) ? 0 :
	PG_GETARG_INT32(argument + 1);
	Snapshot	snapshot = GetActiveSnapshot();

	if (!PG_ARGISNULL(argument + 1) && version < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version of a mapping must be 1 or more, not %d",
						version),
				 errhint("Leave it out for the newest version.")));
	if (remembered == NULL)
	{
		remembered = MemoryContextAllocZero(context, sizeof(Remembered));
		fcinfo->flinfo->fn_extra = remembered;
	}
	if (remembered->name == NULL || remembered->version != version ||
		strcmp(remembered->name, name) != 0 ||
		!is_same_snapshot(remembered, snapshot))
	{
		Jsonb	   *definition;

		forget(remembered);
		definition = find_definition(name, version, context);
		remember(remembered, context, name, version, definition, snapshot);
	}
	return postrider_mapping_require(remembered->definition);
}

/* SQL: postrider.map(payload, mapping, version) */
Datum
postrider_map_name(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	return postrider_mapping_map(mapping_of_arguments(fcinfo, 1),
								 PG_GETARG_JSONB_P(0));
}

/*
 * The set-returning ones are called once per query, and fn_extra belongs to
 * their kind of call: nothing is remembered for them.
 */
static const Mapping *
mapping_of_set_arguments(FunctionCallInfo fcinfo, int argument)
{
	FmgrInfo	function = *fcinfo->flinfo;
	FmgrInfo   *own = fcinfo->flinfo;
	const Mapping *mapping;

	function.fn_extra = NULL;
	function.fn_mcxt = CurrentMemoryContext;
	fcinfo->flinfo = &function;
	mapping = mapping_of_arguments(fcinfo, argument);
	fcinfo->flinfo = own;
	return mapping;
}

static bool
is_any_null(FunctionCallInfo fcinfo, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (PG_ARGISNULL(i))
			return true;
	}
	return false;
}

/* SQL: postrider.map_errors(payload, mapping, version) */
Datum
postrider_map_errors_name(PG_FUNCTION_ARGS)
{
	if (is_any_null(fcinfo, 2))
		return postrider_mapping_put_nothing(fcinfo);
	return postrider_mapping_put_errors(fcinfo,
										mapping_of_set_arguments(fcinfo, 1),
										PG_GETARG_JSONB_P(0));
}

/* SQL: postrider.describe_mapping(mapping, version) */
Datum
postrider_describe_name(PG_FUNCTION_ARGS)
{
	if (is_any_null(fcinfo, 1))
		return postrider_mapping_put_nothing(fcinfo);
	return postrider_mapping_put_description(fcinfo,
											 mapping_of_set_arguments(fcinfo, 0));
}

/*
 * The trigger
 */

static int
column_number(TupleDesc desc, const char *column, Oid type)
{
	int			number = SPI_fnumber(desc, column);

	if (number <= 0 || SPI_gettypeid(desc, number) != type)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("table has no column \"%s\" of type %s", column,
						format_type_be(type))));
	return number;
}

static bool
is_changed(TupleDesc desc, HeapTuple old, HeapTuple new, const char *column,
		   Oid type)
{
	int			number = column_number(desc, column, type);
	Form_pg_attribute attribute = TupleDescAttr(desc, number - 1);
	bool		old_null;
	bool		new_null;
	Datum		old_value = heap_getattr(old, number, desc, &old_null);
	Datum		new_value = heap_getattr(new, number, desc, &new_null);

	if (old_null || new_null)
		return old_null != new_null;
	return !datum_image_eq(old_value, new_value, attribute->attbyval,
						   attribute->attlen);
}

pg_noreturn static void
refuse_version(Datum name, Datum version)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %d of mapping \"%s\" cannot be changed",
					DatumGetInt32(version), TextDatumGetCString(name)),
			 errhint("Insert a row with the same name and no version: it becomes the next version.")));
}

static void
refuse_change(TupleDesc desc, HeapTuple old, HeapTuple new)
{
	bool		isnull;
	Datum		name = heap_getattr(old, column_number(desc, "name", TEXTOID),
									desc, &isnull);
	Datum		version = heap_getattr(old, column_number(desc, "version", INT4OID),
									   desc, &isnull);

	if (is_changed(desc, old, new, "name", TEXTOID) ||
		is_changed(desc, old, new, "version", INT4OID) ||
		is_changed(desc, old, new, "definition", JSONBOID))
		refuse_version(name, version);
}

/* One that was deleted may come back, but not as another. */
static void
refuse_other_definition(Datum name, Datum version, Datum definition)
{
	Datum		values[3] = {name, version, definition};
	SqlScope	sql;

	postrider_sql_enter(&sql);
	if (postrider_sql_run(&find_other_definition, values, NULL, 1) > 0)
		refuse_version(name, version);
	postrider_sql_leave(&sql);
}

static HeapTuple
give_version(TupleDesc desc, HeapTuple tuple, int column, Datum name)
{
	SqlScope	sql;
	Datum		version;
	bool		isnull = false;

	postrider_sql_enter(&sql);
	(void) postrider_sql_run(&lock_newest, &name, NULL, 1);
	(void) postrider_sql_run(&find_last_version, &name, NULL, 1);
	version = Int32GetDatum(postrider_sql_int32(0, 0) + 1);
	postrider_sql_leave(&sql);
	return heap_modify_tuple_by_cols(tuple, desc, 1, &column, &version,
									 &isnull);
}

/* SQL: trigger function postrider.check_mapping_row() */
Datum
postrider_check_mapping_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	Datum		name;
	Datum		version;
	Datum		definition;
	bool		no_name;
	bool		no_version;
	bool		no_definition;
	int			column;
	List	   *problems = NIL;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called before insert or update for each row",
						"check_mapping_row")));
	desc = RelationGetDescr(trigger->tg_relation);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		refuse_change(desc, trigger->tg_trigtuple, trigger->tg_newtuple);
		return PointerGetDatum(trigger->tg_newtuple);
	}
	name = heap_getattr(trigger->tg_trigtuple,
						column_number(desc, "name", TEXTOID), desc, &no_name);
	definition = heap_getattr(trigger->tg_trigtuple,
							  column_number(desc, "definition", JSONBOID), desc,
							  &no_definition);
	/* NULL is left to the constraints, which come after the triggers. */
	if (no_name)
		return PointerGetDatum(trigger->tg_trigtuple);
	if (!no_definition &&
		postrider_mapping_compile(DatumGetJsonbP(definition), &problems) == NULL)
		postrider_mapping_refuse_definition(psprintf("mapping \"%s\"",
													 TextDatumGetCString(name)),
											problems);
	column = column_number(desc, "version", INT4OID);
	version = heap_getattr(trigger->tg_trigtuple, column, desc, &no_version);
	if (no_version)
		return PointerGetDatum(give_version(desc, trigger->tg_trigtuple, column,
											name));
	if (!no_definition)
		refuse_other_definition(name, version, definition);
	return PointerGetDatum(trigger->tg_trigtuple);
}
