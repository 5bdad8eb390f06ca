/*-------------------------------------------------------------------------
 *
 * erased.c
 *	  Messages in memory that postrider.erase() has taken the data of.
 *
 * After the commit of an erase() no request may be begun with what was erased, and
 * nothing of it may be written again: not by an excerpt of a response, not by a
 * dead letter.  Four things see to that.
 *
 *	- Nothing is sent.  The transaction that erases bumps erase_generation
 *	  at its commit (worker/wake.c), when it is visible, and then waits until no
 *	  worker is in the middle of a turn of the network that began before.  A
 *	  worker looks at the generation in each turn (the engine's must_stop), and when it
 *	  has changed, sends nothing more until it has looked up, with a new snapshot,
 *	  which of its messages were erased.  So when the client is told that the
 *	  commit is done, only requests are on their way that were on the wire.  Those that
 *	  still waited for their connection are taken back.
 *
 *	- Nothing is read again.  The log, deferred ids and rows of pending are read
 *	  with the column "removed"; what is erased becomes a delivery without a
 *	  body that ends as cancelled.
 *
 *	- Nothing is written back.  Who writes outcomes has a lock on the table attempt,
 *	  and erase() takes one that conflicts before its last look at attempts,
 *	  pending and dead letters.  So either erase() sees what was written, or the
 *	  writer, who looks at the generation after he has his lock, sees that it
 *	  was erased: the generation is bumped before locks are released.
 *
 *	- After a crash all of this is read from the tables.
 *
 * A message that is no longer in the log has its data in its row in pending, which
 * erase() deletes: so one in memory without either is erased.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "outbox/erased.h"
#include "outbox/intake.h"
#include "outbox/reply.h"
#include "storage/lmgr.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static SqlStatement find_erased = {
	.text =
	"select d.id from unnest($1::uuid[]) as d (id)"
	" left join postrider.message m on m.id = d.id"
	" where m.removed = 'erased' or (m.id is null or m.removed = 'expired')"
	" and not exists (select from postrider.pending p where p.message_id = d.id)",
	.argument_count = 1,
	.argument_types = {UUIDARRAYOID}
};

/* The ids of all messages in memory that are not known to be erased. */
static Datum
ids_in_memory(int *count)
{
	Datum	   *ids;
	dlist_iter	iter;
	int			capacity = 0;

	*count = 0;
	dlist_foreach(iter, postrider_deliveries())
		capacity++;
	ids = palloc(sizeof(Datum) * Max(capacity, 1));
	dlist_foreach(iter, postrider_deliveries())
	{
		Message    *message = dlist_container(Delivery, memory_node, iter.cur)->message;

		if (!message->erased)
			ids[(*count)++] = UUIDPGetDatum(&message->id);
	}
	return PointerGetDatum(construct_array(ids, *count, UUIDOID, UUID_LEN, false,
										   TYPALIGN_CHAR));
}

bool
postrider_erased_mark(void)
{
	HASHCTL		control = {
		.keysize = sizeof(pg_uuid_t),
		.entrysize = sizeof(pg_uuid_t),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *erased;
	Datum		values[1];
	uint64		rows;
	dlist_iter	iter;
	int			count;

	values[0] = ids_in_memory(&count);
	if (count == 0)
		return false;
	rows = postrider_sql_run(&find_erased, values, NULL, 0);
	if (rows == 0)
		return false;
	erased = hash_create("postrider erased", 256, &control,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (uint64 row = 0; row < rows; row++)
	{
		pg_uuid_t	id = postrider_sql_uuid(row, 0);

		(void) hash_search(erased, &id, HASH_ENTER, NULL);
	}
	dlist_foreach(iter, postrider_deliveries())
	{
		Message    *message = dlist_container(Delivery, memory_node, iter.cur)->message;

		if (hash_search(erased, &message->id, HASH_FIND, NULL) != NULL)
			message->erased = true;
	}
	hash_destroy(erased);
	return true;
}

void
postrider_erased_lock_out(void)
{
	Oid			schema = get_namespace_oid("postrider", false);

	LockRelationOid(get_relname_relid("attempt", schema), RowExclusiveLock);
}

void
postrider_erased_scrub(Delivery *delivery)
{
	AttemptResult *result = &delivery->result;

	if (delivery->settle == SETTLE_PARK)
	{
		memset(result, 0, sizeof(*result));
		result->started_at = GetCurrentTimestamp();
		result->outcome = OUTCOME_CANCELLED;
		delivery->settle = SETTLE_ATTEMPT;
	}
	if (result->error)
		pfree(result->error);
	if (result->response)
		pfree(result->response);
	postrider_reply_free(result->reply);
	result->error = result->response = NULL;
	result->reply = NULL;
	if (result->outcome == OUTCOME_DELIVERED)
		return;
	result->outcome = OUTCOME_CANCELLED;
	result->error_code = "erased";
	result->error = MemoryContextStrdup(TopMemoryContext, "the message was erased");
}
