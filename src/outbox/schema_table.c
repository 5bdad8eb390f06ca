/*-------------------------------------------------------------------------
 *
 * schema_table.c
 *	  The registered schemas: postrider.schema, and those of topics.
 *
 * These are the only schemas that a $ref can lead to outside of its own
 * document; nothing is ever fetched.  The tables are read without SPI and
 * without a look at privileges: who validates need not be allowed to read
 * them, and a function that is immutable and parallel safe can do it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "outbox/latest_row.h"
#include "outbox/schema_table.h"
#include "outbox/topic_schema.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(postrider_check_schema);

/* Of a name, in a message. */
#define NAME_SHOWN 200

static Oid	watched[2] = {InvalidOid, InvalidOid};
static bool is_watching = false;
static bool watched_is_stale = true;
static uint64 changes = 1;

/*
 * Reading
 */

Jsonb *
postrider_schema_read(const char *table, const char *index,
					  const char *column, const char *value)
{
	TupleDesc	desc;
	HeapTuple	row = postrider_latest_row(table, index, column, value, &desc);
	Datum		schema;
	bool		isnull;

	if (row == NULL)
		return NULL;
	schema = postrider_latest_get(row, desc, "schema", &isnull);
	return isnull ? NULL : DatumGetJsonbPCopy(schema);
}

Jsonb *
postrider_named_schema_find(const char *uri)
{
	Jsonb	   *schema = postrider_schema_read("schema", "schema_pkey", "name", uri);

	return schema ? schema :
		postrider_schema_read("schema", "schema_id_key", "schema_id", uri);
}

/*
 * A topic's schema may refer to a named one by a plain name; where it is itself
 * referred to, that name comes relative to its own URI.
 */
Jsonb *
postrider_schema_resolve(const char *uri, void *arg)
{
	Jsonb	   *schema = postrider_topic_schema_find(uri);

	if (schema == NULL)
		schema = postrider_named_schema_find(uri);
	if (schema == NULL &&
		strncmp(uri, POSTRIDER_TOPIC_URI, strlen(POSTRIDER_TOPIC_URI)) == 0)
		schema = postrider_named_schema_find(uri + strlen(POSTRIDER_TOPIC_URI));
	if (schema == NULL && arg != NULL)
		*(bool *) arg = true;
	return schema;
}

/*
 * Changes
 */

static void
relation_changed(Datum arg, Oid relation)
{
	if (OidIsValid(relation) && relation != watched[0] && relation != watched[1])
		return;
	changes++;
	watched_is_stale = true;
}

uint64
postrider_schema_changes(void)
{
	if (!is_watching)
	{
		CacheRegisterRelcacheCallback(relation_changed, 0);
		is_watching = true;
	}
	if (watched_is_stale)
	{
		/* Looking may bring another change, which must not be forgotten. */
		watched_is_stale = false;
		watched[0] = postrider_relation("topic");
		watched[1] = postrider_relation("schema");
	}
	return changes;
}

/*
 * Writing
 */

void
postrider_schema_refuse(int level, const char *what, const SchemaProblem *problem)
{
	ereport(level,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is not valid", what),
			 errdetail("At %s: %s.",
					   problem->location[0] ? problem->location : "the root of the schema",
					   problem->message),
			 errhint("Write a schema by JSON Schema 2020-12. Others are referred to by their name or $id in postrider.schema, by the $id of a topic's schema, or as postrider:topic/NAME.")));
}

/* The schema {"$ref": NAME}. */
static Jsonb *
make_reference(const char *name)
{
	JsonbParseState *state = NULL;
	JsonbValue	value = {.type = jbvString};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	value.val.string.val = "$ref";
	value.val.string.len = strlen("$ref");
	pushJsonbValue(&state, WJB_KEY, &value);
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Compiles the schema of a row to see whether it can be.  By itself first, so
 * that a problem has its place in it; if something is missing, then again as
 * others see it, who have its name as the base of relative references.
 */
static void
check_row(const char *name, Jsonb *schema)
{
	SchemaProblem problem;
	SchemaProblem ignored;
	bool		is_missing = false;
	Schema	   *compiled = postrider_schema_compile(schema, postrider_schema_resolve,
													&is_missing, &problem);

	if (compiled == NULL && is_missing)
		compiled = postrider_schema_compile(make_reference(name), postrider_schema_resolve,
											NULL, &ignored);

	/* What it refers to may come later when a dump is restored. */
	if (compiled == NULL && !(is_missing && !check_function_bodies))
		postrider_schema_refuse(ERROR,
								psprintf("schema \"%.*s\"",
										 pg_mbcliplen(name, strlen(name), NAME_SHOWN), name),
								&problem);
	if (compiled != NULL)
		postrider_schema_free(compiled);
}

/*
 * SQL: constraint trigger postrider.check_schema()
 *
 * Comes after the statement, or when the transaction commits if it is
 * deferred, so that schemas that refer to each other can be written.  What
 * counts is what the table has then.
 */
Datum
postrider_check_schema(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	row;
	char	   *name;
	Jsonb	   *schema;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		  TRIGGER_FIRED_BY_UPDATE(trigger->tg_event)) ||
		RelationGetRelid(trigger->tg_relation) != postrider_relation("schema"))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called after insert or update for each row of table \"postrider.schema\"",
						"check_schema")));
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple :
		trigger->tg_trigtuple;
	name = SPI_getvalue(row, RelationGetDescr(trigger->tg_relation),
						SPI_fnumber(RelationGetDescr(trigger->tg_relation), "name"));

	CommandCounterIncrement();
	schema = postrider_schema_read("schema", "schema_pkey", "name", name);
	if (schema != NULL)
		check_row(name, schema);
	return PointerGetDatum(NULL);
}
