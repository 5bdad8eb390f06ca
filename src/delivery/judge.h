/*-------------------------------------------------------------------------
 *
 * judge.h
 *	  What the end of a request means for its delivery and for its endpoint:
 *	  status or failure (classify.h), then the endpoint's response_rules, then
 *	  what the headers say of limits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_JUDGE_H
#define POSTRIDER_JUDGE_H

#include "postgres.h"

#include "content/rate_header.h"
#include "delivery/request.h"
#include "model.h"

typedef struct Judgement
{
	bool		answered;		/* there was a response */
	bool		healthy;		/* the endpoint is well, whatever it thinks of the
								 * message */
	bool		timed_out;
	bool		throttled;		/* it asks for fewer requests */
	int64		retry_after_ms; /* it wants so long a pause, bounded by the
								 * endpoint's backoff_max; 0: none */
	RateHint	hint;			/* what headers say of limits */
	bool		split_batch;	/* what was refused may be the batch as a whole */
	bool		refresh_token;	/* the access token is not good any more */
} Judgement;

/* Fills in the result, whose strings are palloc'd, and the judgement. */
extern void postrider_judge(Request *request, CURLcode code, TimestampTz now,
							AttemptResult *result, Judgement *judgement);

#endif							/* POSTRIDER_JUDGE_H */
