/*-------------------------------------------------------------------------
 *
 * slot.h
 *	  A worker's own slot in shared memory, and the changes of a slot's state
 *	  that worker and launcher have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SLOT_H
#define POSTRIDER_SLOT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "worker/shmem.h"

/*
 * For the process of a worker, once, before it connects to its database.  Does
 * not return if the start was called off in the meantime.
 */
extern WorkerSlot *postrider_slot_attach(int index);

/*
 * How the process is about to end.  Without one of these it counts as failed,
 * and the next start waits.
 */
extern void postrider_slot_set_absent(void);	/* no extension: free the slot */
extern void postrider_slot_set_clean(void); /* asked to stop */

/* Errors in our own words, that quote nothing and so are for everybody. */
#define SLOT_ERROR_NO_ROOM	"could not start a worker: max_worker_processes is reached"
#define SLOT_ERROR_NO_START	"the worker could not start; see the server log"
#define SLOT_ERROR_ENDED	"the worker ended unexpectedly; see the server log"

extern bool postrider_slot_error_is_own(const char *message);

/* For the status view; the message is in the encoding of the database. */
extern void postrider_slot_report_error(const char *message);

/* The worker has started well: failures before this one are forgotten. */
extern void postrider_slot_report_healthy(void);

extern WorkerCounters *postrider_slot_counters(void);
extern bool postrider_slot_stop_requested(void);

/* For these the caller holds the lock exclusively. */
extern void postrider_slot_change(WorkerSlot *slot, SlotState state,
								  TimestampTz now);
extern void postrider_slot_set_error(WorkerSlot *slot, const char *message,
									 TimestampTz now);

/* Back to SLOT_WANTED, the later the more failures there were in a row. */
extern void postrider_slot_failed(WorkerSlot *slot, TimestampTz now);

#endif							/* POSTRIDER_SLOT_H */
