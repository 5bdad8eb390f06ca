/*-------------------------------------------------------------------------
 *
 * schema_functions.c
 *	  The functions in SQL that validate by a schema, and the compiled schemas
 *	  that a process keeps for them.
 *
 * Schemas are kept by their bytes: the same bytes compile to the same, so that
 * only one that refers to registered schemas can become stale.  Such a one
 * remembers the count of changes from before it was compiled.  In a parallel
 * query registered schemas are read with the query's snapshot, and what was
 * made of them lives no longer than the statement.
 *
 * There are a few entries, each in a memory context of its own; those that were
 * not used for longest make room when there are too many or they are too large.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "content/schema.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "outbox/schema_table.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(postrider_is_valid);
PG_FUNCTION_INFO_V1(postrider_validate);

#define MAX_ENTRIES 64
#define MAX_MEMORY (32 * 1024 * 1024)

/* Rows of postrider.validate(). */
#define MAX_ERRORS 1000

typedef struct Entry
{
	MemoryContext context;
	Jsonb	   *source;			/* NULL: free */
	Schema	   *schema;
	uint32		hash;
	uint64		serial;			/* another one each time the entry is filled */
	uint64		used;			/* when, counted in look-ups */
	bool		is_dependent;	/* on registered schemas */
	uint64		changes;		/* of those, when it was compiled */
	bool		is_parallel;	/* only good for this statement */
	TimestampTz statement;
} Entry;

/* What one call site remembers: fn_extra. */
typedef struct CallSite
{
	Entry	   *entry;
	uint64		serial;
	bool		is_constant;	/* the schema is the same each time */
} CallSite;

static Entry entries[MAX_ENTRIES];
static uint64 lookups = 0;
static uint64 serials = 0;

/*
 * The cache
 */

static bool
is_same(const Entry *entry, const Jsonb *source)
{
	return entry->source != NULL &&
		VARSIZE(entry->source) == VARSIZE(source) &&
		memcmp(entry->source, source, VARSIZE(source)) == 0;
}

static bool
is_fresh(const Entry *entry)
{
	if (!entry->is_dependent)
		return true;

	/* Nothing else may have looked since another session's commit. */
	AcceptInvalidationMessages();
	if (entry->changes != postrider_schema_changes())
		return false;
	return !entry->is_parallel ||
		(IsInParallelMode() &&
		 entry->statement == GetCurrentStatementStartTimestamp());
}

static void
free_entry(Entry *entry)
{
	entry->source = NULL;
	entry->serial = 0;
	MemoryContextDelete(entry->context);
}

static Entry *
find_entry(const Jsonb *source, uint32 hash)
{
	for (int i = 0; i < MAX_ENTRIES; i++)
	{
		if (entries[i].hash != hash || !is_same(&entries[i], source))
			continue;
		if (is_fresh(&entries[i]))
			return &entries[i];
		free_entry(&entries[i]);
	}
	return NULL;
}

/* A free entry, after making room for a context of this size. */
static Entry *
make_room(Size size)
{
	for (;;)
	{
		Entry	   *room = NULL;
		Entry	   *oldest = NULL;
		Size		total = size;

		for (int i = 0; i < MAX_ENTRIES; i++)
		{
			if (entries[i].source == NULL)
			{
				room = &entries[i];
				continue;
			}
			total += MemoryContextMemAllocated(entries[i].context, true);
			if (oldest == NULL || entries[i].used < oldest->used)
				oldest = &entries[i];
		}
		if (room != NULL && (oldest == NULL || total <= MAX_MEMORY))
			return room;
		free_entry(oldest);
	}
}

/* A resolver that tells that it was asked. */
static Jsonb *
resolve(const char *uri, void *arg)
{
	*(bool *) arg = true;
	return postrider_schema_resolve(uri, NULL);
}

/*
 * Compiled below the caller's context first, so that an error leaves nothing
 * behind; what compiled is handed over to the life of the process.
 */
static Entry *
add_entry(Jsonb *source, uint32 hash)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "postrider JSON Schema",
												  ALLOCSET_SMALL_SIZES);
	uint64		before;
	bool		is_dependent = false;
	SchemaProblem problem;
	Schema	   *schema;
	Jsonb	   *copy;
	Entry	   *entry;

	AcceptInvalidationMessages();
	before = postrider_schema_changes();
	MemoryContextSwitchTo(context);
	copy = palloc(VARSIZE(source));
	memcpy(copy, source, VARSIZE(source));
	schema = postrider_schema_compile(copy, resolve, &is_dependent, &problem);
	MemoryContextSwitchTo(caller);
	if (schema == NULL)
		postrider_schema_refuse(ERROR, "JSON Schema", &problem);

	entry = make_room(MemoryContextMemAllocated(context, true));
	MemoryContextSetParent(context, CacheMemoryContext);
	entry->context = context;
	entry->schema = schema;
	entry->hash = hash;
	entry->serial = ++serials;
	entry->is_dependent = is_dependent;
	entry->changes = before;
	entry->is_parallel = is_dependent && IsInParallelMode();
	entry->statement = GetCurrentStatementStartTimestamp();
	entry->source = copy;
	return entry;
}

static Entry *
find_or_add(Jsonb *source)
{
	uint32		hash = hash_bytes((const unsigned char *) source, VARSIZE(source));
	Entry	   *entry = find_entry(source, hash);

	if (entry == NULL)
		entry = add_entry(source, hash);
	entry->used = ++lookups;
	return entry;
}

/*
 * The functions
 */

/*
 * True if the second argument is a literal.  A parameter is none: a simple
 * expression in PL/pgSQL is set up once and run with many values.
 */
static bool
has_constant_schema(FmgrInfo *flinfo)
{
	FuncExpr   *call = (FuncExpr *) flinfo->fn_expr;

	return call != NULL && IsA(call, FuncExpr) && list_length(call->args) == 2 &&
		IsA(lsecond(call->args), Const);
}

/* The compiled schema of the second argument. */
static Schema *
schema_of_argument(FunctionCallInfo fcinfo)
{
	CallSite   *site = fcinfo->flinfo->fn_extra;
	Jsonb	   *source;
	bool		is_known;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CallSite));
		site->is_constant = has_constant_schema(fcinfo->flinfo);
		fcinfo->flinfo->fn_extra = site;
	}
	is_known = site->entry != NULL && site->entry->serial == site->serial &&
		is_fresh(site->entry);
	if (is_known && site->is_constant)
	{
		site->entry->used = ++lookups;
		return site->entry->schema;
	}

	source = PG_GETARG_JSONB_P(1);
	if (is_known && is_same(site->entry, source))
		site->entry->used = ++lookups;
	else
	{
		site->entry = find_or_add(source);
		site->serial = site->entry->serial;
	}
	if ((Pointer) source != PG_GETARG_POINTER(1))
		pfree(source);
	return site->entry->schema;
}

/* SQL: postrider.is_valid(instance, schema) */
Datum
postrider_is_valid(PG_FUNCTION_ARGS)
{
	Jsonb	   *instance = PG_GETARG_JSONB_P(0);
	Schema	   *schema = schema_of_argument(fcinfo);
	bool		result = postrider_schema_is_valid(schema, instance);

	PG_FREE_IF_COPY(instance, 0);
	PG_RETURN_BOOL(result);
}

/*
 * SQL: postrider.validate(instance, schema)
 *
 * fn_extra is not ours in a function that returns a set.
 */
Datum
postrider_validate(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb	   *instance = PG_GETARG_JSONB_P(0);
	Schema	   *schema;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	schema = find_or_add(PG_GETARG_JSONB_P(1))->schema;
	foreach(cell, postrider_schema_errors(schema, instance, MAX_ERRORS))
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
