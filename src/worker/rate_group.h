/*-------------------------------------------------------------------------
 *
 * rate_group.h
 *	  Rates in shared memory: of endpoints that share one, perhaps of several
 *	  workers, of all requests of a tenant, and of the messages of a tenant, which
 *	  sessions count.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RATE_GROUP_H
#define POSTRIDER_RATE_GROUP_H

#include "delivery/governor.h"

/* What a name means; the number is endpoint_id in postrider.endpoint_state. */
typedef enum RateScope
{
	RATE_OF_GROUP = 0,			/* endpoint.rate_group */
	RATE_OF_TENANT = -1,		/* tenant.rate_limits */
	MESSAGES_OF_TENANT = -2		/* tenant.message_limits */
} RateScope;

/*
 * The rate of that name in this database, with these limits.  In a transaction: what
 * was kept of it over a restart is taken up.
 *
 * If there are too many there is a warning, and this worker has one of its own, which
 * other workers do not see; there is none, NULL, for messages.
 */
extern RateGroup *postrider_rate_group(RateScope scope, const char *name,
									   const RatePolicy *policy, TimestampTz now);

/* Which one it is; the name is valid as long as the rate is in use. */
extern RateScope postrider_rate_group_scope(const RateGroup *group);
extern const char *postrider_rate_group_name(const RateGroup *group);

/*
 * It is in use.  One that was not for a day may be taken for another, if there is
 * no room.
 */
extern void postrider_rate_group_touch(RateGroup *group, TimestampTz now);

#endif							/* POSTRIDER_RATE_GROUP_H */
