/*-------------------------------------------------------------------------
 *
 * mask.h
 *	  Values at sensitive places of a payload, and their replacement.
 *
 * A place is a JSON path of keys, indexes, .*, [*] and .**, in the lax mode: a key
 * of a list is the key of its elements.  What it leads to is masked with all that is
 * in it: strings become ***, numbers 0, booleans false; keys and null stay, so that the
 * form can be seen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MASK_H
#define POSTRIDER_MASK_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

#define MASK_TEXT "***"

typedef struct MaskPath MaskPath;

/* NULL, with the problem as a clause, if it is not such a path.  Palloc'd. */
extern MaskPath *postrider_mask_path_compile(JsonPath *path, const char **problem);

/* The payload with what is at the MaskPaths masked; palloc'd, or the payload itself. */
extern Jsonb *postrider_mask_apply(Jsonb *payload, List *paths);

/*
 * The values at the MaskPaths, as they may stand in a text: a List of char *, the
 * longest first; palloc'd.  Values that are too short to be told from other words are
 * left out.
 */
extern List *postrider_mask_values(Jsonb *payload, List *paths);

/*
 * The text with the values replaced, whatever their case; so is the beginning of a
 * value at its end, where the text may have been cut.  Palloc'd, or NULL if nothing was
 * to be replaced.
 */
extern char *postrider_mask_text(const char *string, List *values);

#endif							/* POSTRIDER_MASK_H */
