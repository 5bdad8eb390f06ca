/*-------------------------------------------------------------------------
 *
 * tenant_limit.h
 *	  What a tenant may emit: checked by emit(), send() and watched tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TENANT_LIMIT_H
#define POSTRIDER_TENANT_LIMIT_H

#include "postgres.h"

#include "utils/jsonb.h"

/* ereport(ERROR) if the payload is larger than the tenant (or NULL) may have it. */
extern void postrider_tenant_require_size(text *tenant, Jsonb *payload, const char *topic);

/*
 * Counts a message of the tenant (or NULL) that is about to be written; ereport(ERROR)
 * if it has emitted as many as it may.  What is rolled back is counted no more.
 */
extern void postrider_tenant_count_message(text *tenant);

#endif							/* POSTRIDER_TENANT_LIMIT_H */
