/*-------------------------------------------------------------------------
 *
 * capture.c
 *	  The trigger that postrider.watch() puts on a table.
 *
 * Two shapes, chosen by watch(): a statement-level trigger with transition
 * tables, so that a bulk load pays per row only for the message itself; and a
 * row-level trigger where a condition needs OLD and NEW, or where rows may
 * be changed through a partition.  The arguments are: the topic, the columns
 * as an array literal ({} for all), the key columns likewise.
 *
 * What the trigger needs to know of its table is kept in a cache by trigger,
 * dropped when the table's definition changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/access.h"
#include "outbox/emit.h"
#include "outbox/row_json.h"
#include "outbox/tenant_limit.h"
#include "outbox/topic_schema.h"
#include "policy/priority.h"
#include "util/id.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(postrider_capture);

typedef struct Capture
{
	Oid			trigger;		/* hash key */
	Oid			relation;
	bool		valid;
	MemoryContext context;		/* holds what follows */
	text	   *topic;
	char	   *topic_name;
	char	   *table_name;
	int			column_count;
	RowColumn  *columns;
	int			key_count;
	RowColumn  *keys;
	int			priority;
} Capture;

/* One change of a row; a slot is NULL where there is no such row. */
typedef struct Change
{
	const char *operation;
	TupleTableSlot *old_row;
	TupleTableSlot *new_row;
} Change;

static HTAB *captures = NULL;

static void
relation_changed(Datum arg, Oid relation)
{
	HASH_SEQ_STATUS scan;
	Capture    *capture;

	hash_seq_init(&scan, captures);
	while ((capture = hash_seq_search(&scan)) != NULL)
		if (!OidIsValid(relation) || capture->relation == relation)
			capture->valid = false;
}

static void
init_cache(void)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(Capture),
		.hcxt = CacheMemoryContext
	};

	captures = hash_create("postrider captures", 32, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, 0);
}

/* Makes RowColumns of an array literal of column names; {} means "all". */
static RowColumn *
read_columns(const char *literal, bool all_if_empty, Trigger *trigger,
			 Relation rel, MemoryContext context, int *count)
{
	TupleDesc	descriptor = RelationGetDescr(rel);
	ArrayType  *array;
	Datum	   *names;
	int			name_count;
	RowColumn  *columns;

	array = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN,
													pstrdup(literal),
													TEXTOID, -1));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &names, NULL, &name_count);
	*count = 0;
	columns = MemoryContextAllocZero(context, sizeof(RowColumn) *
									 Max(descriptor->natts, name_count));

	if (name_count == 0 && all_if_empty)
	{
		for (int i = 0; i < descriptor->natts; i++)
			if (!TupleDescAttr(descriptor, i)->attisdropped)
				postrider_row_column_init(&columns[(*count)++],
										  TupleDescAttr(descriptor, i), context);
		return columns;
	}
	for (int i = 0; i < name_count; i++)
	{
		char	   *name = TextDatumGetCString(names[i]);
		AttrNumber	number = get_attnum(RelationGetRelid(rel), name);

		if (number <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table \"%s\" is watched by trigger \"%s\" and does not exist",
							name, RelationGetRelationName(rel), trigger->tgname),
					 errhint("Run postrider.watch() again with the columns that the table has now.")));
		postrider_row_column_init(&columns[(*count)++],
								  TupleDescAttr(descriptor, number - 1), context);
	}
	return columns;
}

static void
fill_capture(Capture *capture, Trigger *trigger, Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CacheMemoryContext,
												  "postrider capture",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	capture->priority = PRIORITY_NORMAL;
	if (trigger->tgnargs < 3 || trigger->tgnargs > 4 ||
		(trigger->tgnargs == 4 &&
		 !postrider_priority_from_name(trigger->tgargs[3], &capture->priority)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" was not made by postrider.watch()",
						trigger->tgname),
				 errhint("Run postrider.watch() instead of CREATE TRIGGER.")));
	capture->relation = RelationGetRelid(rel);
	capture->context = context;
	capture->topic = cstring_to_text(trigger->tgargs[0]);
	capture->topic_name = pstrdup(trigger->tgargs[0]);
	capture->table_name = psprintf("%s.%s",
								   get_namespace_name(RelationGetNamespace(rel)),
								   RelationGetRelationName(rel));
	capture->columns = read_columns(trigger->tgargs[1], true, trigger, rel,
									context, &capture->column_count);
	capture->keys = read_columns(trigger->tgargs[2], false, trigger, rel,
								 context, &capture->key_count);
	capture->valid = true;
	MemoryContextSwitchTo(old);
}

static Capture *
get_capture(TriggerData *data)
{
	Capture    *capture;
	bool		found;

	if (captures == NULL)
		init_cache();
	capture = hash_search(captures, &data->tg_trigger->tgoid, HASH_ENTER, &found);
	if (!found)
	{
		capture->valid = false;
		capture->context = NULL;
	}
	if (!capture->valid)
	{
		/*
		 * A cast of a column to json is code of somebody's: it may have changed the
		 * table and written to it, so that we are called within a call that still
		 * uses this.
		 */
		if (capture->context)
			MemoryContextSetParent(capture->context, TopTransactionContext);
		capture->context = NULL;
		fill_capture(capture, data->tg_trigger, data->tg_relation);
	}
	return capture;
}

static bool
column_changed(const RowColumn *column, const Change *change)
{
	bool		old_null;
	bool		new_null;
	Datum		old_value = slot_getattr(change->old_row, column->number, &old_null);
	Datum		new_value = slot_getattr(change->new_row, column->number, &new_null);

	if (old_null || new_null)
		return old_null != new_null;
	return !datum_image_eq(old_value, new_value, column->by_value, column->length);
}

static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

static void
push_string(JsonbParseState **state, JsonbIteratorToken token, const char *string)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	pushJsonbValue(state, token, &value);
}

static void
push_row(JsonbParseState **state, const Capture *capture, TupleTableSlot *row)
{
	JsonbValue	null = {.type = jbvNull};

	if (row)
		postrider_row_push(state, capture->columns, capture->column_count, row);
	else
		pushJsonbValue(state, WJB_VALUE, &null);
}

/*
 * Pushes the names of the columns that changed, or null where there is no
 * pair of rows.  Returns false if there is a pair and nothing changed.
 */
static bool
push_changed(JsonbParseState **state, const Capture *capture, const Change *change)
{
	JsonbValue	null = {.type = jbvNull};
	bool		any = false;

	if (!change->old_row || !change->new_row)
	{
		pushJsonbValue(state, WJB_VALUE, &null);
		return true;
	}
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < capture->column_count; i++)
	{
		if (!column_changed(&capture->columns[i], change))
			continue;
		push_string(state, WJB_ELEM, capture->columns[i].name);
		any = true;
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
	return any;
}

/* The payload of a change; NULL if nothing that is watched has changed. */
static Jsonb *
build_payload(const Capture *capture, const Change *change)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "changed");
	if (!push_changed(&state, capture, change))
		return NULL;
	push_key(&state, "operation");
	push_string(&state, WJB_VALUE, change->operation);
	push_key(&state, "table");
	push_string(&state, WJB_VALUE, capture->table_name);
	push_key(&state, "record");
	push_row(&state, capture, change->new_row);
	push_key(&state, "old_record");
	push_row(&state, capture, change->old_row);
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}

/* The key columns' values, joined by commas; NULL if one is NULL. */
static text *
build_key(const Capture *capture, const Change *change)
{
	TupleTableSlot *row = change->new_row ? change->new_row : change->old_row;
	StringInfoData key;

	if (capture->key_count == 0)
		return NULL;
	initStringInfo(&key);
	for (int i = 0; i < capture->key_count; i++)
	{
		char	   *value = postrider_row_text(&capture->keys[i], row);

		if (value == NULL)
			return NULL;
		if (i > 0)
			appendStringInfoChar(&key, ',');
		appendStringInfoString(&key, value);
	}
	return cstring_to_text_with_len(key.data, key.len);
}

/* Writes the message of a change, if there is anything to tell. */
static void
capture_change(const Capture *capture, const Change *change, AppendTarget *append)
{
	NewMessage	message = {0};

	message.payload = build_payload(capture, change);
	if (message.payload == NULL)
		return;
	message.tenant = postrider_message_tenant(NULL);
	postrider_payload_require_size(message.payload, capture->topic_name);
	postrider_tenant_require_size(message.tenant, message.payload, capture->topic_name);
	postrider_topic_schema_check(capture->topic_name, message.payload);
	message.topic = capture->topic;
	message.key = build_key(capture, change);
	message.priority = (int16) capture->priority;
	message.has_priority = capture->priority != PRIORITY_NORMAL;
	postrider_tenant_count_message(message.tenant);
	postrider_id_next(&message.id);
	postrider_emit_message(append, &message);
}

static void
capture_row(const Capture *capture, TriggerData *data)
{
	Change		change = {0};
	AppendTarget *append;

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		change.operation = "insert";
		change.new_row = data->tg_trigslot;
	}
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		change.operation = "update";
		change.old_row = data->tg_trigslot;
		change.new_row = data->tg_newslot;
	}
	else
	{
		change.operation = "delete";
		change.old_row = data->tg_trigslot;
	}
	append = postrider_emit_begin("postrider.capture()");
	capture_change(capture, &change, append);
	postrider_emit_end(append);
}

static bool
next_row(Tuplestorestate *rows, TupleTableSlot *slot)
{
	return rows == NULL || tuplestore_gettupleslot(rows, true, false, slot);
}

static void
capture_statement(const Capture *capture, TriggerData *data)
{
	Change		change = {0};
	TupleDesc	descriptor = RelationGetDescr(data->tg_relation);
	AppendTarget *append = NULL;
	MemoryContext row_context;
	MemoryContext old;

	change.operation = TRIGGER_FIRED_BY_INSERT(data->tg_event) ? "insert" :
		TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? "update" : "delete";
	if (data->tg_oldtable)
		change.old_row = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
	if (data->tg_newtable)
		change.new_row = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);

	row_context = AllocSetContextCreate(CurrentMemoryContext,
										"postrider capture row",
										ALLOCSET_DEFAULT_SIZES);

	/* The n-th old row and the n-th new row are of the same update. */
	while (next_row(data->tg_oldtable, change.old_row) &&
		   next_row(data->tg_newtable, change.new_row))
	{
		CHECK_FOR_INTERRUPTS();
		if (append == NULL)
			append = postrider_emit_begin("postrider.capture()");
		old = MemoryContextSwitchTo(row_context);
		capture_change(capture, &change, append);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	if (append)
		postrider_emit_end(append);

	MemoryContextDelete(row_context);
	if (change.old_row)
		ExecDropSingleTupleTableSlot(change.old_row);
	if (change.new_row)
		ExecDropSingleTupleTableSlot(change.new_row);
}

Datum
postrider_capture(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Capture    *capture;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an AFTER trigger",
						"postrider.capture"),
				 errhint("Run postrider.watch() instead of CREATE TRIGGER.")));
	capture = get_capture(data);
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
		capture_row(capture, data);
	else if (data->tg_oldtable || data->tg_newtable)
		capture_statement(capture, data);
	PG_RETURN_POINTER(NULL);
}
