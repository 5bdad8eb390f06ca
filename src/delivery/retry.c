/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  Whether and when a failed delivery is tried again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/retry.h"
#include "utils/timestamp.h"

int64
postrider_backoff_ms(const Endpoint *endpoint, int attempts, double random)
{
	int64		bound = endpoint->backoff_base_ms;

	if (endpoint->schedule_length > 0)
		return endpoint->schedule_ms[Min(attempts, endpoint->schedule_length) - 1];

	for (int i = 1; i < attempts && bound < endpoint->backoff_max_ms; i++)
		bound *= 2;
	bound = Min(bound, endpoint->backoff_max_ms);
	return (int64) (bound * random);
}

void
postrider_retry_decide(AttemptResult *result, const Endpoint *endpoint,
					   int attempts, int64 retry_after_ms,
					   TimestampTz expires_at, TimestampTz now, double random)
{
	int64		wait_ms;

	if (attempts >= endpoint->max_attempts)
	{
		result->outcome = OUTCOME_DEAD;
		return;
	}
	wait_ms = postrider_backoff_ms(endpoint, attempts, random);
	wait_ms = Max(wait_ms, retry_after_ms);
	result->retry_at = TimestampTzPlusMilliseconds(now, wait_ms);
	result->retry_at = Min(result->retry_at, expires_at);
}
