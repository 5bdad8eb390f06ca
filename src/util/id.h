/*-------------------------------------------------------------------------
 *
 * id.h
 *	  Message ids: version-7 UUIDs (RFC 9562) from one clock for all backends.
 *
 * The first 60 bits of an id that are not version bits are its tick: 48 bits
 * of Unix milliseconds and 12 bits of the fraction of the millisecond
 * (RFC 9562 section 6.2, method 3), about 244 ns.  Ticks come from an atomic
 * in shared memory as max(clock, last + 1), so ids rise strictly in the order in
 * which they are given out, over all backends, even when the clock steps
 * back.  The remaining 62 bits are random.
 *
 * Two transactions that change the same row are ordered by its row lock, and
 * each takes its id while it holds the lock.  So the order of ids is the true
 * order per row, which the order of transaction ids is not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ID_H
#define POSTRIDER_ID_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#define POSTRIDER_TICKS_PER_MS 4096

/* Gives out the next id.  Does not look whether the clock has been seeded. */
extern void postrider_id_next(pg_uuid_t *id);

/* Gives out "count" ticks at once and returns the first; for bulk capture. */
extern uint64 postrider_id_reserve(int count);

/* Makes the id of a tick that was reserved. */
extern void postrider_id_from_tick(uint64 tick, pg_uuid_t *id);

/* Smallest id above which every id that is given out from now on lies. */
extern void postrider_id_current_floor(pg_uuid_t *id);

/* Moves the clock forward, so that all further ids lie above this one. */
extern void postrider_id_advance(const pg_uuid_t *id);

/* Milliseconds since 1970 in an id. */
extern int64 postrider_id_unix_ms(const pg_uuid_t *id);

/* When the id was given out, to the millisecond. */
extern TimestampTz postrider_id_timestamp(const pg_uuid_t *id);

/* Compares as the uuid type does. */
extern int	postrider_id_compare(const pg_uuid_t *a, const pg_uuid_t *b);

/* In lower case, with hyphens and a NUL. */
#define ID_TEXT_SIZE 37

extern void postrider_id_text(const pg_uuid_t *id, char *result);

#endif							/* POSTRIDER_ID_H */
