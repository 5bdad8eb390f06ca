/*-------------------------------------------------------------------------
 *
 * topic_schema.c
 *	  The schema of a topic, and the check of every payload that is emitted
 *	  on it.
 *
 * A backend keeps the schemas that it has met, compiled, by topic; also that a
 * topic has none, so that an emit pays for one look into a hash table.  The
 * table is read without SPI and without a look at privileges: who may emit
 * need not be allowed to read postrider.topic.
 *
 * A statement trigger on postrider.topic invalidates the table in the relation
 * cache.  That brings, by the server's own means, all that is needed: other
 * backends learn of the change when it commits, also by COMMIT PREPARED; this
 * one learns of it with the next command, and of its end by a rollback, even to
 * a savepoint.  (The configuration generation in shared memory, which the
 * workers go by, can do neither of the last two.)
 *
 * What is kept must not depend on a transaction's snapshot, or a repeatable
 * read transaction would leave an old schema behind, of whose end nobody would
 * tell again.  So the table is read with the latest snapshot: a payload is
 * judged by the newest schema, whatever else the transaction sees.  Where that is
 * not possible, in a parallel query, nothing is kept; nothing is emitted there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "content/schema.h"
#include "content/schema_compare.h"
#include "content/topic.h"
#include "fmgr.h"
#include "funcapi.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "outbox/latest_row.h"
#include "outbox/schema_table.h"
#include "outbox/topic_schema.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(postrider_topic_changed);
PG_FUNCTION_INFO_V1(postrider_keep_topic_version);
PG_FUNCTION_INFO_V1(postrider_validate_topic);

/* Topics that a backend remembers; then it starts over. */
#define CACHE_SIZE 2000

/* Of the errors of a payload, in a message. */
#define ERRORS_SHOWN 10
#define DETAIL_BYTES 3000

typedef struct TopicSchema
{
	char		topic[POSTRIDER_TOPIC_MAX + 1]; /* hash key */
	MemoryContext context;		/* NULL without a schema */
	Schema	   *schema;			/* NULL if there is none */
} TopicSchema;

static HTAB *cache = NULL;

/* The tables on which the cache depends, as they were when it was filled. */
static Oid	topic_table = InvalidOid;
static Oid	schema_table = InvalidOid;

/* The cache is to be emptied before it is used again. */
static bool cache_is_stale = false;

/* Goes up with each invalidation. */
static uint64 invalidations = 0;

/*
 * The table
 */

static Jsonb *
read_topic(const char *topic)
{
	/* In a parallel query it was read with that query's snapshot. */
	if (IsInParallelMode())
		cache_is_stale = true;
	return postrider_schema_read("topic", "topic_pkey", "name", topic);
}

Jsonb *
postrider_topic_schema_find(const char *uri)
{
	if (strncmp(uri, POSTRIDER_TOPIC_URI, strlen(POSTRIDER_TOPIC_URI)) == 0)
		return read_topic(uri + strlen(POSTRIDER_TOPIC_URI));
	return postrider_schema_read("topic", "topic_schema_id_key", "schema_id", uri);
}

/*
 * The cache
 */

static void
relation_changed(Datum arg, Oid relation)
{
	if (OidIsValid(relation) && relation != topic_table &&
		relation != schema_table)
		return;
	cache_is_stale = true;
	invalidations++;
}

static void
empty_cache(void)
{
	HASH_SEQ_STATUS scan;
	TopicSchema *entry;

	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->context != NULL)
			MemoryContextDelete(entry->context);
		(void) hash_search(cache, entry->topic, HASH_REMOVE, NULL);
	}
}

static void
prepare_cache(void)
{
	HASHCTL		control = {
		.keysize = POSTRIDER_TOPIC_MAX + 1,
		.entrysize = sizeof(TopicSchema),
		.hcxt = CacheMemoryContext
	};

	if (cache == NULL)
	{
		cache = hash_create("postrider topic schemas", 64, &control,
							HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(relation_changed, 0);
		cache_is_stale = true;
	}
	if (cache_is_stale || hash_get_num_entries(cache) >= CACHE_SIZE)
	{
		empty_cache();
		cache_is_stale = false;
		topic_table = postrider_relation("topic");
		schema_table = postrider_relation("schema");
	}
}

static void
report_schema_problem(int level, const char *topic,
					  const SchemaProblem *problem)
{
	postrider_schema_refuse(level, psprintf("schema of topic \"%s\"", topic),
							problem);
}

/*
 * Finds the compiled schema of a topic; *schema is NULL if it has none.  If
 * there is one that does not compile, because what it refers to has gone,
 * returns false and fills *problem; that is tried again each time.
 */
static bool
find_schema(const char *topic, Schema **schema, SchemaProblem *problem)
{
	TopicSchema *entry;
	uint64		seen;
	MemoryContext context;
	MemoryContext old;
	Jsonb	   *source;

	/* A transaction that emits again must see what was committed meanwhile. */
	AcceptInvalidationMessages();
	prepare_cache();
	entry = hash_search(cache, topic, HASH_FIND, NULL);
	if (entry != NULL)
	{
		*schema = entry->schema;
		return true;
	}

	seen = invalidations;
	*schema = NULL;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"postrider topic schema",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	source = read_topic(topic);
	if (source != NULL)
		*schema = postrider_schema_compile(source, postrider_schema_resolve,
										   NULL, problem);
	MemoryContextSwitchTo(old);
	if (source != NULL && *schema == NULL)
		return false;

	if (source == NULL)
	{
		MemoryContextDelete(context);
		context = NULL;
	}
	else
		MemoryContextSetParent(context, CacheMemoryContext);
	entry = hash_search(cache, topic, HASH_ENTER, NULL);
	entry->context = context;
	entry->schema = *schema;

	/* It may have become old while it was compiled; the next emit will know. */
	if (seen != invalidations)
		cache_is_stale = true;
	return true;
}

/*
 * The check
 */

/* One line for each error, as many as a message should have. */
static char *
describe_errors(List *errors)
{
	StringInfoData lines;
	ListCell   *cell;
	int			count = 0;

	initStringInfo(&lines);
	foreach(cell, errors)
	{
		SchemaError *error = lfirst(cell);

		if (count > 0)
			appendStringInfoChar(&lines, '\n');
		if (count++ == ERRORS_SHOWN || lines.len > DETAIL_BYTES)
		{
			appendStringInfoString(&lines, "There is more.");
			break;
		}
		appendStringInfo(&lines, "%.*s.",
						 pg_mbcliplen(error->message, strlen(error->message), DETAIL_BYTES),
						 error->message);
	}
	return lines.data;
}

void
postrider_topic_schema_check(const char *topic, Jsonb *payload)
{
	int			level = postrider_validation == POSTRIDER_VALIDATION_WARN ? WARNING : ERROR;
	Schema	   *schema;
	SchemaProblem problem;
	List	   *errors;

	if (postrider_validation == POSTRIDER_VALIDATION_OFF)
		return;
	if (!find_schema(topic, &schema, &problem))
	{
		report_schema_problem(level, topic, &problem);
		return;
	}
	if (schema == NULL || postrider_schema_is_valid(schema, payload))
		return;
	errors = postrider_schema_errors(schema, payload, ERRORS_SHOWN + 1);
	ereport(level,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("payload of a message on topic \"%s\" does not match the topic's schema",
					topic),
			 errdetail("%s", describe_errors(errors)),
			 level == WARNING ?
			 errhint("The message is sent all the same, as postrider.validation is \"warn\".") :
			 errhint("Correct the payload, or the schema in postrider.topic. Messages that do not match are sent with a warning if postrider.validation is \"warn\".")));
}

/* SQL: postrider.validate_topic(topic, payload) */
Datum
postrider_validate_topic(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *topic = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *payload = PG_GETARG_JSONB_P(1);
	Schema	   *schema;
	SchemaProblem problem;
	ListCell   *cell;

	postrider_topic_require(topic, strlen(topic));
	InitMaterializedSRF(fcinfo, 0);
	if (!find_schema(topic, &schema, &problem))
		report_schema_problem(ERROR, topic, &problem);
	if (schema == NULL)
		return (Datum) 0;
	foreach(cell, postrider_schema_errors(schema, payload, INT_MAX))
	{
		SchemaError *error = lfirst(cell);
		Datum		values[4];
		bool		nulls[4] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(error->instance_location);
		values[1] = CStringGetTextDatum(error->keyword_location);
		values[2] = CStringGetTextDatum(error->keyword);
		values[3] = CStringGetTextDatum(error->message);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Writing schemas
 */

static void
require_compatible(const char *topic, Jsonb *schema, Jsonb *old_schema)
{
	List	   *changes;
	ListCell   *cell;
	StringInfoData lines;
	int			count = 0;

	if (postrider_schema_compare(old_schema, schema, postrider_schema_resolve, NULL, 1000, &changes))
		return;
	initStringInfo(&lines);
	foreach(cell, changes)
	{
		SchemaChange *change = lfirst(cell);

		if (change->compatible)
			continue;
		if (count > 0)
			appendStringInfoChar(&lines, '\n');
		if (count++ == ERRORS_SHOWN)
		{
			appendStringInfoString(&lines, "There is more.");
			break;
		}
		appendStringInfo(&lines, "%s.", change->message);
	}
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new schema of topic \"%s\" is not compatible with the old one",
					topic),
			 errdetail("%s", lines.data),
			 errhint("See postrider.compare_schema(); or set the topic's compatibility to \"none\" in the same UPDATE.")));
}

void
postrider_topic_schema_require(const char *topic, Jsonb *schema,
							   Jsonb *old_schema, bool compatible)
{
	SchemaProblem problem;
	bool		is_missing = false;
	Schema	   *compiled = postrider_schema_compile(schema, postrider_schema_resolve,
													&is_missing, &problem);

	/*
	 * What a schema refers to may come later when a dump is restored, which
	 * always has this setting off, for such a reason.
	 */
	if (compiled == NULL && is_missing && !check_function_bodies)
		return;
	if (compiled == NULL)
		report_schema_problem(ERROR, topic, &problem);
	postrider_schema_free(compiled);
	if (compatible && old_schema != NULL)
		require_compatible(topic, schema, old_schema);
}

/* SQL: triggers postrider.topic_changed(), postrider.schema_changed() */
Datum
postrider_topic_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an AFTER trigger",
						get_func_name(fcinfo->flinfo->fn_oid))));
	CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/*
 * SQL: trigger postrider.keep_topic_version()
 *
 * Keeps the schema that an update replaces.  An insert keeps nothing, so that
 * restoring a dump does not double what the dump has.
 */
Datum
postrider_keep_topic_version(PG_FUNCTION_ARGS)
{
	static SqlStatement keep = {
		.text =
		"insert into postrider.topic_version (topic, version, schema)"
		" values ($1, $2, $3)",
		.argument_count = 3,
		.argument_types = {TEXTOID, INT4OID, JSONBOID}
	};
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	Datum		values[3];
	bool		isnull;
	SqlScope	sql;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		RelationGetRelid(trigger->tg_relation) != postrider_relation("topic"))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called after update for each row of table \"postrider.topic\"",
						"keep_topic_version")));
	desc = RelationGetDescr(trigger->tg_relation);

	/* The name may have changed with it; the earlier versions have followed. */
	values[0] = heap_getattr(trigger->tg_newtuple,
							 SPI_fnumber(desc, "name"), desc, &isnull);
	values[1] = heap_getattr(trigger->tg_trigtuple,
							 SPI_fnumber(desc, "version"), desc, &isnull);
	values[2] = heap_getattr(trigger->tg_trigtuple,
							 SPI_fnumber(desc, "schema"), desc, &isnull);
	if (isnull)
		return PointerGetDatum(NULL);
	postrider_sql_enter(&sql);
	(void) postrider_sql_run(&keep, values, NULL, 0);
	postrider_sql_leave(&sql);
	return PointerGetDatum(NULL);
}
