/*-------------------------------------------------------------------------
 *
 * mapping_functions.h
 *	  What SQL functions do with a mapping, by definition or by name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MAPPING_FUNCTIONS_H
#define POSTRIDER_MAPPING_FUNCTIONS_H

#include "postgres.h"

#include "content/mapping.h"
#include "content/mapping_internal.h"
#include "fmgr.h"
#include "util/compat.h"

/* Raises an error that lists the problems; "what" is its subject. */
pg_noreturn extern void postrider_mapping_refuse_definition(const char *what,
												List *problems);
extern const Mapping *postrider_mapping_require(Jsonb *definition);
extern Datum postrider_mapping_map(const Mapping *mapping, Jsonb *payload);
extern Datum postrider_mapping_put_errors(FunctionCallInfo fcinfo,
										  const Mapping *mapping,
										  Jsonb *payload);
extern Datum postrider_mapping_put_description(FunctionCallInfo fcinfo,
											   const Mapping *mapping);
extern Datum postrider_mapping_put_nothing(FunctionCallInfo fcinfo);

#endif							/* POSTRIDER_MAPPING_FUNCTIONS_H */
