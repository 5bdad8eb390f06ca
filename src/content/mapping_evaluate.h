/*-------------------------------------------------------------------------
 *
 * mapping_evaluate.h
 *	  The state of one record being mapped, see mapping_evaluate.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MAPPING_EVALUATE_H
#define POSTRIDER_MAPPING_EVALUATE_H

#include "postgres.h"

#include "content/mapping_internal.h"

/* Where in the result a nested group belongs, for messages. */
typedef struct Place
{
	const struct Place *outer;
	const MappingField *field;
	int			index;			/* of the element, or -1 */
} Place;

typedef struct Evaluation
{
	MemoryContext context;		/* of the caller, for problems */
	SourceDocument payload;
	List	   *problems;
	int			problem_count;
	const Place *place;
	const MappingField *field;	/* that is being mapped */
} Evaluation;

typedef enum Outcome
{
	FOUND,
	MISSING,
	FAILED						/* noted */
} Outcome;

/* Notes what is wrong with the field; without one, with the place or all. */
extern void postrider_mapping_note(Evaluation *evaluation,
								   const MappingField *field,
								   const char *message);

/* The same for an element of the field's list; index -1 is the field itself. */
extern void postrider_mapping_note_element(Evaluation *evaluation,
										   const MappingField *field, int index,
										   const char *message);

/* True when so much is wrong that going on is of no use. */
extern bool postrider_mapping_is_enough(const Evaluation *evaluation);

/* The sources "from" (one path, several) and "coalesce". */
extern Outcome postrider_mapping_find_one(Evaluation *evaluation,
										  const MappingField *field,
										  const SourcePath *path,
										  SourceDocument *document,
										  JsonbValue *value);
extern Outcome postrider_mapping_concatenate(Evaluation *evaluation,
											 const MappingField *field,
											 SourceDocument *document,
											 JsonbValue *value);
extern Outcome postrider_mapping_find_first(Evaluation *evaluation,
											const MappingField *field,
											SourceDocument *document,
											JsonbValue *value);

#endif							/* POSTRIDER_MAPPING_EVALUATE_H */
