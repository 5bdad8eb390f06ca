/*-------------------------------------------------------------------------
 *
 * deduplication.h
 *	  Deduplication keys: emitting the same thing twice writes it once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_DEDUPLICATION_H
#define POSTRIDER_DEDUPLICATION_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * Claims a key for the message "id" for postrider.deduplication_period.
 * Returns true if it was free.  Otherwise returns false and sets *holder to the
 * id of the message that has it.  Waits for a transaction that is about to claim
 * the same key.  tenant may be NULL.
 */
extern bool postrider_deduplication_claim(text *tenant, const char *scope,
										  text *dedup_key, const pg_uuid_t *id,
										  pg_uuid_t *holder);

#endif							/* POSTRIDER_DEDUPLICATION_H */
