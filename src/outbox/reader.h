/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Reading new messages from the log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_READER_H
#define POSTRIDER_READER_H

#include "postgres.h"

#include "lib/ilist.h"
#include "utils/uuid.h"

/* Messages that are read at once. */
#define READER_CHUNK 500

/* Begins where the cursor that was loaded stands. */
extern void postrider_reader_start(void);

/* Is there a window that has not been read to its end? */
extern bool postrider_reader_in_window(void);

/*
 * Opens a window up to now, in the current transaction.  After this, and
 * before the first chunk is read, the caller makes sure that its
 * configuration is not older than the window.
 */
extern void postrider_reader_open_window(void);

/*
 * Reads the next chunk of the window, in the current transaction, of at most
 * "limit" messages (at most READER_CHUNK), and appends the deliveries that it owes to the list.  Those with settle = SETTLE_PARK are to
 * be parked as they say.  WAL is flushed up to the commits of what was read.
 * Returns the number of messages read.
 */
extern int	postrider_reader_read(dlist_head *deliveries, int limit);

/* Which message would come next, if any; its content is not touched. */
extern bool postrider_reader_peek(pg_uuid_t *id);

/* To be called when the transaction of the last reading has been committed. */
extern void postrider_reader_committed(void);

/*
 * Looks, without a query, whether transactions have begun or ended since the
 * last window, so that there may be messages of which no callback told.
 */
extern bool postrider_reader_may_have_missed(void);

#endif							/* POSTRIDER_READER_H */
