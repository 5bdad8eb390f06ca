/*-------------------------------------------------------------------------
 *
 * tenant_config.h
 *	  The limits of tenants in a worker's memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TENANT_CONFIG_H
#define POSTRIDER_TENANT_CONFIG_H

#include "postgres.h"

#include "outbox/tenant_row.h"

/* Loads them; in a transaction. */
extern void postrider_tenant_config_load(void);

/*
 * The limits of a tenant (NULL: none); NULL if it has none.  Valid until they are
 * loaded again.
 */
extern const TenantLimits *postrider_tenant_config(const char *name);

/* Calls for each tenant whose messages are limited. */
typedef void (*TenantCallback) (const char *name, const TenantLimits *limits, void *arg);
extern void postrider_tenant_config_messages(TenantCallback callback, void *arg);

#endif							/* POSTRIDER_TENANT_CONFIG_H */
