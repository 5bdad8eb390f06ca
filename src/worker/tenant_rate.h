/*-------------------------------------------------------------------------
 *
 * tenant_rate.h
 *	  The worker's part in the rates of tenants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TENANT_RATE_H
#define POSTRIDER_TENANT_RATE_H

#include "delivery/governor.h"

/*
 * The rate of all requests of a tenant (or NULL), by the configuration that was loaded
 * last; NULL if it has no limit.  In a transaction.
 */
extern RateGroup *postrider_tenant_rate(const char *tenant, TimestampTz now);

/*
 * For one worker of a database, when the configuration has been loaded: it keeps the
 * rates of all tenants' messages over a restart.  In a transaction.
 */
extern void postrider_tenant_rates_keep_messages(TimestampTz now);

/* Says once an hour that all rates are in use that this worker knows. */
extern void postrider_tenant_rates_touch(TimestampTz now);

#endif							/* POSTRIDER_TENANT_RATE_H */
