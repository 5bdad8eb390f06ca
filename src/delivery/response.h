/*-------------------------------------------------------------------------
 *
 * response.h
 *	  What is kept of a response.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_H
#define POSTRIDER_RESPONSE_H

#include "postgres.h"

#include "delivery/request.h"
#include "model.h"

/*
 * Called when a request has ended and its outcome is known, outside of curl:
 * copies into the result, in the current memory context, the excerpt of a failed
 * attempt, or the reply of a delivered one if its endpoint has a reply_topic.
 */
extern void postrider_response_keep(const Request *request, AttemptResult *result);

#endif							/* POSTRIDER_RESPONSE_H */
