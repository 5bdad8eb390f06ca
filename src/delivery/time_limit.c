/*-------------------------------------------------------------------------
 *
 * time_limit.c
 *	  Computing for so long and no longer; see time_limit.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/time_limit.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "utils/timeout.h"

static volatile sig_atomic_t expired = false;

/* The timeout's handler. */
static void
expire(void)
{
	expired = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

static TimeoutId
our_timeout(void)
{
	static TimeoutId timeout = MAX_TIMEOUTS;

	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, expire);
	return timeout;
}

bool
postrider_within_time(void (*compute) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	TimeoutId	timeout = our_timeout();
	volatile bool done = true;
	sigset_t	old_mask;

	sigprocmask(SIG_SETMASK, &UnBlockSig, &old_mask);
	expired = false;
	enable_timeout_after(timeout, TIME_LIMIT_MS);
	PG_TRY();
	{
		compute(arg);
	}
	PG_CATCH();
	{
		disable_timeout(timeout, false);
		if (!expired || geterrcode() != ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		done = false;
	}
	PG_END_TRY();
	disable_timeout(timeout, false);
	if (expired)
		QueryCancelPending = false;
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	return done;
}
