/*-------------------------------------------------------------------------
 *
 * result_mask.h
 *	  Takes the values of a message's sensitive fields out of what is kept of an
 *	  attempt: the error and the excerpt of the response.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESULT_MASK_H
#define POSTRIDER_RESULT_MASK_H

#include "postgres.h"

#include "delivery/request.h"
#include "model.h"

/* Replaces the texts of the result where there is something to mask. */
extern void postrider_result_mask(AttemptResult *result, const Message *message);

/* The same by all messages that the request carries: an answer may quote any of them. */
extern void postrider_result_mask_request(AttemptResult *result, Request *request);

#endif							/* POSTRIDER_RESULT_MASK_H */
