/*-------------------------------------------------------------------------
 *
 * tenant_row.h
 *	  The limits in a row of postrider.tenant.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TENANT_ROW_H
#define POSTRIDER_TENANT_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "policy/policy.h"

/* A tenant of a longer name has no row. */
#define TENANT_MAX_NAME_BYTES POLICY_MAX_GROUP_BYTES

/* What endpoints and subscriptions may be counted by is in the triggers. */
typedef struct TenantLimits
{
	RatePolicy	requests;		/* no windows: no limit */
	RatePolicy	messages;		/* the same */
	int			max_payload_bytes;	/* 0: no limit */
} TenantLimits;

/*
 * Reads the columns rate_limits, message_limits and max_payload_bytes.  False, and
 * no limits, if one makes no sense.
 */
extern bool postrider_tenant_row_read(HeapTuple row, TupleDesc desc, TenantLimits *limits,
									  PolicyProblem *problem);

#endif							/* POSTRIDER_TENANT_ROW_H */
