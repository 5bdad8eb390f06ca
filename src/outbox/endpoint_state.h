/*-------------------------------------------------------------------------
 *
 * endpoint_state.h
 *	  What is kept of endpoints and rate groups over a restart, as bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ENDPOINT_STATE_H
#define POSTRIDER_ENDPOINT_STATE_H

#include "postgres.h"

/* An endpoint (with rate_group ""), or a shared rate: its RateScope and name. */
typedef struct EndpointStateKey
{
	int32		endpoint_id;
	const char *rate_group;
} EndpointStateKey;

typedef struct EndpointStateRow
{
	const void *rate;			/* NULL if there is none */
	Size		rate_length;
	const void *breaker;
	Size		breaker_length;
	bool		clean;			/* nothing was sent since */
} EndpointStateRow;

/*
 * Reads the row; false if there is none.  The bytes are in the current memory
 * context.
 */
extern bool postrider_endpoint_state_load(const EndpointStateKey *key, EndpointStateRow *row);
extern void postrider_endpoint_state_save(const EndpointStateKey *key,
										  const EndpointStateRow *row);
extern void postrider_endpoint_state_delete(const EndpointStateKey *key);

/* Of endpoints and tenants that are gone, and groups without endpoints. */
extern void postrider_endpoint_state_delete_orphans(void);

#endif							/* POSTRIDER_ENDPOINT_STATE_H */
