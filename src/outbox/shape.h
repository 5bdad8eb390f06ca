/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  What a request for one message looks like: body, URL and headers, where the
 *	  endpoint has wishes of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SHAPE_H
#define POSTRIDER_SHAPE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "model.h"
#include "utils/jsonb.h"

/*
 * Appends the body, and gives the delivery its URL and headers, if any, in a context
 * of their own below "parent".  False, with the problem, if that is not possible with
 * these values.
 */
extern bool postrider_shape_apply(Delivery *delivery, const char *topic, const char *tenant,
								  Jsonb *payload, MemoryContext parent, StringInfo body,
								  char **problem);

#endif							/* POSTRIDER_SHAPE_H */
