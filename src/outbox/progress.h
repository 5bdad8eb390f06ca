/*-------------------------------------------------------------------------
 *
 * progress.h
 *	  How far this worker has come in the log: the dispatch cursor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_PROGRESS_H
#define POSTRIDER_PROGRESS_H

#include "postgres.h"

#include "access/transam.h"
#include "lib/ilist.h"
#include "model.h"

/*
 * A point in the log.  All transactions from floor_xid on have only ids above
 * floor_id; reader.c explains how that is known.
 */
typedef struct LogPoint
{
	char	   *snapshot;		/* pg_snapshot as text, palloc'd */
	FullTransactionId floor_xid;
	pg_uuid_t	floor_id;
} LogPoint;

/*
 * A cursor: everything visible in start.snapshot is done; and, if there is a
 * window, of what is visible in end.snapshot everything up to position.
 */
typedef struct LogCursor
{
	LogPoint	start;
	bool		in_window;
	LogPoint	end;
	pg_uuid_t	position;
} LogCursor;

/*
 * A part of the log that was read at once, in a queue of such parts.  When all
 * deliveries of the oldest ones are settled, the cursor moves behind them.
 */
struct ReadChunk
{
	dlist_node	node;
	int			outstanding;	/* deliveries not yet settled or leased */
	bool		is_empty;		/* there was no message in it */
	struct TopicCounts *topics; /* its messages by topic (stats.h); or NULL */
	LogCursor	after;			/* the cursor once they are */
};

extern void postrider_log_point_copy(LogPoint *to, const LogPoint *from);
extern void postrider_log_point_free(LogPoint *point);
extern void postrider_log_cursor_copy(LogCursor *to, const LogCursor *from);
extern void postrider_log_cursor_free(LogCursor *cursor);

/* Loads the cursor from its row, or makes one at the beginning of the log. */
extern void postrider_progress_load(void);

/* The cursor as it stands: settled up to here. */
extern const LogCursor *postrider_progress_cursor(void);

/* Adds a part of the log that has just been read; "after" is copied. */
extern ReadChunk *postrider_progress_add(const LogCursor *after);

/* One delivery of the chunk has been settled or leased. */
extern void postrider_progress_settled(ReadChunk *chunk);

/* Moves the cursor over finished chunks; true if the row should be written. */
extern bool postrider_progress_advance(void);

/*
 * Writes the row; call within a transaction of the worker.  Returns the size of
 * the table in pages.
 */
extern int	postrider_progress_save(void);

/* The row that was written is committed. */
extern void postrider_progress_saved(void);

#endif							/* POSTRIDER_PROGRESS_H */
