/*-------------------------------------------------------------------------
 *
 * alerts.h
 *	  Has alerts looked at every postrider.alert_interval.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ALERTS_H
#define POSTRIDER_ALERTS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* The configuration was loaded: is there an alert to be looked at?  In a transaction. */
extern void postrider_alerts_loaded(TimestampTz now);

/* When alerts are looked at next; DT_NOEND: never. */
extern TimestampTz postrider_alerts_due(void);

/* Looks at them if it is time, in a transaction of its own. */
extern void postrider_alerts_evaluate(TimestampTz now);

/* The wall clock was set by so much. */
extern void postrider_alerts_shift(int64 microseconds);

#endif							/* POSTRIDER_ALERTS_H */
