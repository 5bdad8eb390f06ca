/*-------------------------------------------------------------------------
 *
 * config.h
 *	  The configuration in a worker's memory: endpoints and subscriptions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CONFIG_H
#define POSTRIDER_CONFIG_H

#include "postgres.h"

#include "model.h"
#include "utils/jsonpath.h"

typedef struct Subscription
{
	Endpoint   *endpoint;
	char	   *topic;			/* pattern */
	JsonPath   *filter;			/* or NULL */
	MappingReference *mapping;	/* or NULL */
	pg_uuid_t	after_id;
} Subscription;

/* Where a message goes, and mapped by what. */
typedef struct RouteTarget
{
	Endpoint   *endpoint;
	MappingReference *mapping;	/* or NULL */
} RouteTarget;

/*
 * Called for an endpoint that is new, has changed, or is gone (deleted is
 * set), when all of the configuration has been loaded.
 */
typedef void (*EndpointChangedCallback) (Endpoint *endpoint, bool is_new);

/*
 * Loads the configuration in the current transaction of the worker.  The old
 * one stays in force if this ends in an error.  Returns true if endpoints may
 * have been deleted since the last time.
 */
extern bool postrider_config_load(EndpointChangedCallback callback);

/*
 * The limits of a rate group: those of all its endpoints, of all shards; NULL if
 * there is none of that name.  Until the next load.
 */
extern const RatePolicy *postrider_config_rate_group(const char *name);

extern Endpoint *postrider_config_endpoint(int32 id);

/*
 * The endpoints that are owed a message: at most one entry for each, by the
 * first subscription that matches.  The
 * array is valid until the next call.  "endpoint" is the name of the only
 * receiver of a message that was sent directly, else NULL.
 */
extern int	postrider_config_route(const char *topic, const char *endpoint,
								   const char *tenant, const pg_uuid_t *id,
								   Jsonb *payload, RouteTarget **targets);

/* Is there an endpoint of that name, of whatever shard?  Runs a query. */
extern bool postrider_config_is_endpoint(const char *name);

/* This shard's endpoints, as an array palloc'd in the current context. */
extern int	postrider_config_endpoints(Endpoint ***endpoints);

/* Removes an endpoint that is deleted and idle. */
extern void postrider_config_forget(Endpoint *endpoint);

#endif							/* POSTRIDER_CONFIG_H */
