/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  Writing down what came of deliveries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SETTLE_H
#define POSTRIDER_SETTLE_H

#include "postgres.h"

#include "model.h"

/* What a batch of settled deliveries amounted to. */
typedef struct SettleTotals
{
	uint64		delivered;
	uint64		retried;
	uint64		dead;			/* expired ones too */
	TimestampTz next_due;		/* earliest due_at that was written */
} SettleTotals;

/*
 * Records the outcome of deliveries linked by node, in the current
 * transaction.  Nothing in memory changes.
 */
extern void postrider_settle_write(dlist_head *deliveries, SettleTotals *totals);

/* The transaction is committed: lets go of the deliveries. */
extern void postrider_settle_done(dlist_head *deliveries);

/*
 * Writes pending rows, due now, for messages that overflow an endpoint's lane;
 * held ones if the endpoint is disabled.
 */
extern void postrider_settle_overflow(const Endpoint *endpoint,
									  const pg_uuid_t *message_ids,
									  MappingReference *const *mappings, int count);

/*
 * Writes a pending row, as a lease, for deliveries that came from the log
 * before "before" and are still in memory, so that the cursor can move on; of
 * one endpoint, or of all if it is NULL.  Returns the number of them.
 * postrider_lease_done() follows the commit.
 */
extern int	postrider_lease_write(TimestampTz before, const Endpoint *endpoint);
extern void postrider_lease_done(TimestampTz before, const Endpoint *endpoint);

/* The same for these deliveries. */
extern void postrider_lease_write_these(Delivery *const *deliveries, int count);
extern void postrider_lease_done_these(Delivery *const *deliveries, int count);

/* As in the column outcome of postrider.attempt. */
extern const char *postrider_outcome_name(AttemptOutcome outcome);

#endif							/* POSTRIDER_SETTLE_H */
