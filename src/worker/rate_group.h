/*-------------------------------------------------------------------------
 *
 * rate_group.h
 *	  Rates that several endpoints share, perhaps of several workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RATE_GROUP_H
#define POSTRIDER_RATE_GROUP_H

#include "delivery/governor.h"

/*
 * The group of that name in this database, with these limits; NULL, with a
 * warning, if there are too many.  In a transaction: what was kept of it over a
 * restart is taken up.
 */
extern RateGroup *postrider_rate_group(const char *name, const RatePolicy *policy,
									   TimestampTz now);

#endif							/* POSTRIDER_RATE_GROUP_H */
