/*-------------------------------------------------------------------------
 *
 * mapping_table.h
 *	  Rows of postrider.mapping.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MAPPING_TABLE_H
#define POSTRIDER_MAPPING_TABLE_H

#include "postgres.h"

#include "utils/jsonb.h"

/*
 * The definition of a mapping, in the given context, or NULL if there is no
 * such mapping.  version 0 is the newest.  Between postrider_sql_begin() or
 * postrider_sql_enter() and their ends.
 */
extern Jsonb *postrider_mapping_definition(const char *name, int32 version,
										   MemoryContext context);

#endif							/* POSTRIDER_MAPPING_TABLE_H */
