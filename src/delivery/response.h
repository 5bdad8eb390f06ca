/*-------------------------------------------------------------------------
 *
 * response.h
 *	  Judges an answer by the response rules of its endpoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_H
#define POSTRIDER_RESPONSE_H

#include "postgres.h"

#include "content/response_rule.h"
#include "delivery/request.h"

/*
 * Changes the result, by postrider_classify(), of a request that has ended to what
 * the rules of its endpoint say.  True if one of them matches.  Not to be called
 * from within curl; signals are let through meanwhile.
 */
extern bool postrider_response_judge(const Request *request, const RequestEnd *end,
									 AttemptResult *result, TimestampTz now,
									 ResponseVerdict *verdict);

/* Does the endpoint itself seem to be well? */
extern bool postrider_response_is_healthy(const AttemptResult *result,
										  const ResponseVerdict *verdict);

#endif							/* POSTRIDER_RESPONSE_H */
