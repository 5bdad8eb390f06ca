/*-------------------------------------------------------------------------
 *
 * mapping.h
 *	  Field mapping: a definition in JSON says how a payload becomes the
 *	  document that the receiver wants.
 *
 * Compile once, apply often.  Neither touches the catalog, so both may be
 * called outside of a transaction; both allocate in the current memory
 * context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MAPPING_H
#define POSTRIDER_MAPPING_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct Mapping Mapping;

/* What is wrong with a definition or with a record. */
typedef struct MappingProblem
{
	char	   *position;		/* of a definition: fields[2].apply[0]; of a
								 * record: the target, line_items[3].sku; ""
								 * for the whole */
	char	   *source;			/* of a record: the path, or NULL */
	char	   *message;		/* without a full stop */
} MappingProblem;

/* At most so many problems are listed; the last one says if there are more. */
#define MAPPING_MAX_PROBLEMS 100

/*
 * Returns NULL and sets *problems (a list of MappingProblem) if the definition
 * is wrong.  The result needs nothing of the definition given.  A mapping is
 * freed with the memory context that was current.
 */
extern Mapping *postrider_mapping_compile(Jsonb *definition, List **problems);

/*
 * Returns the mapped document, or NULL and *problems, which then lists
 * everything that is wrong with the record.  Raises no error for data that
 * does not fit, but only for exhausted memory, a cancelled query and the like.
 * Leaves memory behind in the current memory context, as much as a few times
 * the payload and the result; the result is at most MAPPING_MAX_RESULT_BYTES.
 */
extern Jsonb *postrider_mapping_apply(const Mapping *mapping, Jsonb *payload,
									  List **problems);

#define MAPPING_MAX_RESULT_BYTES (64 * 1024 * 1024)

/*
 * The problems in one string, for a log, an error's detail or the record of an
 * attempt: "email: is required; items[2].qty ($.qty): \"x\" is not an integer"
 */
extern char *postrider_mapping_problems_text(List *problems);

/*
 * The compiled form of a definition, out of a cache of this process that is
 * bounded, keyed by the bytes of the definition.  NULL and *problems if it is
 * wrong.  Valid until the next call.
 */
extern const Mapping *postrider_mapping_cached(Jsonb *definition,
											   List **problems);

#endif							/* POSTRIDER_MAPPING_H */
