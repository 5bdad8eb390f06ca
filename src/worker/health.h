/*-------------------------------------------------------------------------
 *
 * health.h
 *	  How the endpoints of a worker stand, for everybody to see.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_HEALTH_H
#define POSTRIDER_HEALTH_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Something has happened to an endpoint of this worker. */
extern void postrider_health_touch(void);

/* When the state in shared memory is to be renewed; DT_NOEND if it is new. */
extern TimestampTz postrider_health_due(void);

/* Renews it if that is due, or at once. */
extern void postrider_health_publish(TimestampTz now, bool at_once);

/* The worker ends: nothing is known of its endpoints any more. */
extern void postrider_health_leave(void);

#endif							/* POSTRIDER_HEALTH_H */
