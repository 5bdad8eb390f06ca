/*-------------------------------------------------------------------------
 *
 * sensitive.h
 *	  Sensitive fields (postrider.sensitive_field) in a worker's memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SENSITIVE_H
#define POSTRIDER_SENSITIVE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Loads them, with the configuration; in a transaction. */
extern void postrider_sensitive_load(void);

/*
 * The values at the sensitive fields of a message on this topic, for
 * postrider_mask_text(); NIL if there are none.  Palloc'd.
 */
extern List *postrider_sensitive_values(const char *topic, Jsonb *payload);

/* Could there be any? */
extern bool postrider_sensitive_exist(void);

#endif							/* POSTRIDER_SENSITIVE_H */
