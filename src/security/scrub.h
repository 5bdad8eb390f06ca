/*-------------------------------------------------------------------------
 *
 * scrub.h
 *	  Takes known values out of texts that came from outside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCRUB_H
#define POSTRIDER_SCRUB_H

#include "postgres.h"

typedef struct Scrubber Scrubber;

/* An empty one; all of it is in a context below the given one. */
extern Scrubber *postrider_scrubber_make(MemoryContext parent);

/*
 * Makes a value known, and the forms that it takes on where it is sent: base64 at
 * any place within a longer text (as of "user:password"), percent-encoded, as a
 * JSON string, and of a value of several lines each line.  A form of less than
 * SCRUB_MIN_BYTES (secret_set.h) is left out: it would be found everywhere.
 */
extern void postrider_scrubber_add(Scrubber *scrubber, const char *value, Size length);

/* Each form that is found becomes "***", in place; returns the new length. */
extern Size postrider_scrub(Scrubber *scrubber, char *string, Size length);

/* Overwrites all that it knows. */
extern void postrider_scrubber_wipe(Scrubber *scrubber);

#endif							/* POSTRIDER_SCRUB_H */
