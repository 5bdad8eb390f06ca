/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Direct inserts into the append-only tables.
 *
 * This follows what COPY FROM does (commands/copyfrom.c) and is simpler, as
 * the tables are ours: range partitions of one level without row triggers or
 * generated columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "outbox/append.h"
#include "parser/parse_relation.h"
#include "util/compat.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Rows that are written together. */
#define BUFFER_ROWS 256

struct AppendTarget
{
	MemoryContext context;
	EState	   *estate;
	ModifyTableState *modify;
	ResultRelInfo *root;
	PartitionTupleRouting *routing;
	TupleTableSlot *row;		/* the row to be routed */
	CommandId	command;

	/* rows for one partition, waiting to be written */
	ResultRelInfo *partition;	/* NULL if there are none */
	int			count;
	TupleTableSlot *slots[BUFFER_ROWS]; /* made when first used */
	ResultRelInfo *slots_partition; /* the partition that they were made for */
	BulkInsertState bulk;
};

static Oid
table_oid(const char *table)
{
	Oid			schema = get_namespace_oid("postrider", false);
	Oid			oid = get_relname_relid(table, schema);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"postrider.%s\" does not exist", table),
				 errhint("Run CREATE EXTENSION postrider.")));
	return oid;
}

AppendTarget *
postrider_append_begin(const char *table)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "postrider append",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	AppendTarget *state = palloc0(sizeof(AppendTarget));
	Relation	rel = table_open(table_oid(table), RowExclusiveLock);
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	state->context = context;
	state->command = GetCurrentCommandId(true);
	state->estate = CreateExecutorState();

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(rel);
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	PostriderExecInitRangeTable(state->estate, list_make1(rte));

	state->root = makeNode(ResultRelInfo);
	InitResultRelInfo(state->root, rel, 1, NULL, 0);

	state->modify = makeNode(ModifyTableState);
	state->modify->ps.state = state->estate;
	state->modify->operation = CMD_INSERT;
	state->modify->mt_nrels = 1;
	state->modify->resultRelInfo = state->root;
	state->modify->rootResultRelInfo = state->root;

	state->routing = ExecSetupPartitionTupleRouting(state->estate, rel);
	state->row = MakeSingleTupleTableSlot(RelationGetDescr(rel),
										  &TTSOpsVirtual);
	MemoryContextSwitchTo(old);
	return state;
}

bool
postrider_append_fits(const AppendTarget *state, const char *const *names,
					  const Oid *types, int count)
{
	TupleDesc	desc = state->row->tts_tupleDescriptor;

	if (desc->natts != count)
		return false;
	for (int i = 0; i < count; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || column->atttypid != types[i] ||
			strcmp(NameStr(column->attname), names[i]) != 0)
			return false;
	}
	return true;
}

/* Drops the buffer's slots, which fit one partition only. */
static void
release_slots(AppendTarget *state)
{
	for (int i = 0; i < BUFFER_ROWS && state->slots[i] != NULL; i++)
	{
		ExecDropSingleTupleTableSlot(state->slots[i]);
		state->slots[i] = NULL;
	}
	if (state->bulk)
		FreeBulkInsertState(state->bulk);
	state->bulk = NULL;
	state->slots_partition = NULL;
}

static void
flush(AppendTarget *state)
{
	ResultRelInfo *partition = state->partition;
	Relation	rel;

	if (state->count == 0)
		return;
	rel = partition->ri_RelationDesc;

	if (state->count == 1)
		table_tuple_insert(rel, state->slots[0], state->command, 0, NULL);
	else
	{
		/* A ring of buffers pays for bulk only. */
		if (state->bulk == NULL && state->count == BUFFER_ROWS)
			state->bulk = GetBulkInsertState();
		table_multi_insert(rel, state->slots, state->count, state->command, 0,
						   state->bulk);
	}

	for (int i = 0; i < state->count; i++)
	{
		if (partition->ri_NumIndices > 0)
			list_free(PostriderExecInsertIndexTuples(partition,
													 state->slots[i],
													 state->estate));
		ResetPerTupleExprContext(state->estate);
	}
	for (int i = 0; i < state->count; i++)
		ExecClearTuple(state->slots[i]);
	state->count = 0;
	state->partition = NULL;
}

void
postrider_append_row(AppendTarget *state, const Datum *values, const bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);
	int			natts = state->row->tts_tupleDescriptor->natts;
	ResultRelInfo *partition;
	TupleTableSlot *slot;

	ExecClearTuple(state->row);
	memcpy(state->row->tts_values, values, natts * sizeof(Datum));
	memcpy(state->row->tts_isnull, nulls, natts * sizeof(bool));
	ExecStoreVirtualTuple(state->row);

	partition = ExecFindPartition(state->modify, state->root, state->routing,
								  state->row, state->estate);
	if (state->count == BUFFER_ROWS || partition != state->partition)
		flush(state);
	if (state->slots_partition != partition)
	{
		release_slots(state);
		state->slots_partition = partition;
	}
	state->partition = partition;

	slot = state->slots[state->count];
	if (slot == NULL)
		slot = state->slots[state->count] =
			table_slot_create(partition->ri_RelationDesc, NULL);

	/* Our partitions are alike, but someone may have attached one. */
	if (PostriderRootToChildMap(partition, state->estate) != NULL)
		execute_attr_map_slot(PostriderRootToChildMap(partition, state->estate)->attrMap,
							  state->row, slot);
	else
	{
		ExecClearTuple(slot);
		memcpy(slot->tts_values, values, natts * sizeof(Datum));
		memcpy(slot->tts_isnull, nulls, natts * sizeof(bool));
		ExecStoreVirtualTuple(slot);
	}
	ExecMaterializeSlot(slot);
	slot->tts_tableOid = RelationGetRelid(partition->ri_RelationDesc);
	if (partition->ri_RelationDesc->rd_att->constr)
		ExecConstraints(partition, slot, state->estate);
	state->count++;
	MemoryContextSwitchTo(old);
}

void
postrider_append_end(AppendTarget *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);

	flush(state);
	release_slots(state);
	ExecCleanupTupleRouting(state->modify, state->routing);
	ExecDropSingleTupleTableSlot(state->row);
	ExecResetTupleTable(state->estate->es_tupleTable, false);
	table_close(state->root->ri_RelationDesc, NoLock);
	FreeExecutorState(state->estate);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(state->context);
}
