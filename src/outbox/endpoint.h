/*-------------------------------------------------------------------------
 *
 * endpoint.h
 *	  Looking up endpoints for postrider.send().
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ENDPOINT_H
#define POSTRIDER_ENDPOINT_H

#include "postgres.h"

/*
 * ereport(ERROR) unless there is an endpoint of this name that takes messages
 * of this tenant (NULL: of none).
 */
extern void postrider_endpoint_require(text *name, text *tenant);

#endif							/* POSTRIDER_ENDPOINT_H */
