/*-------------------------------------------------------------------------
 *
 * rate_test.c
 *	  Functions for the regression tests: rate limits with a clock of their own.
 *
 * Times are seconds here, as float8.  The steps work on one state that the
 * session keeps; the simulation has its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "policy/policy.h"
#include "policy/rate_limit.h"
#include "portability/instr_time.h"
#include "util/compat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(test_rate_configure);
PG_FUNCTION_INFO_V1(test_rate_take);
PG_FUNCTION_INFO_V1(test_rate_put_back);
PG_FUNCTION_INFO_V1(test_rate_put_back_many);
PG_FUNCTION_INFO_V1(test_rate_next);
PG_FUNCTION_INFO_V1(test_rate_observe);
PG_FUNCTION_INFO_V1(test_rate_adapted);
PG_FUNCTION_INFO_V1(test_rate_use);
PG_FUNCTION_INFO_V1(test_rate_shift);
PG_FUNCTION_INFO_V1(test_rate_save);
PG_FUNCTION_INFO_V1(test_rate_restore);
PG_FUNCTION_INFO_V1(test_rate_simulate);
PG_FUNCTION_INFO_V1(test_rate_nanoseconds);

/* A day that is long after the epoch, as it is in the worker. */
#define EPOCH_US INT64CONST(848000000000000)

static RateState state;

static int64
time_of(float8 seconds)
{
	return EPOCH_US + (int64) rint(seconds * 1000000);
}

static float8
seconds_of(int64 time)
{
	return (time - EPOCH_US) / 1000000.0;
}

static void
make_policy(RatePolicy *rate, char *limits)
{
	PolicyValues values = {
		.rate_limit = POLICY_NULL, .rate_period_us = POLICY_NULL,
		.rate_burst = POLICY_NULL, .rate_limits = limits[0] ? limits : NULL,
		.warn_at = 0.8, .max_in_flight = 16, .breaker_share_isnull = true,
		.breaker_min_count = 20, .breaker_window_us = 60000000,
		.breaker_open_us = 5000000, .breaker_open_max_us = 300000000,
		.disable_after_us = POLICY_NULL, .on_dead = "block",
		.batch_size = POLICY_NULL, .batch_bytes = POLICY_NULL,
		.batch_delay_us = POLICY_NULL
	};
	Policy		policy;
	PolicyProblem problem;

	if (!postrider_policy_make(&values, &policy, &problem))
		elog(ERROR, "%s %s", problem.column, problem.problem);
	*rate = policy.rate;
}

/* test_rate_configure(limits text, now float8, fresh boolean) returns void */
Datum
test_rate_configure(PG_FUNCTION_ARGS)
{
	RatePolicy	policy;

	make_policy(&policy, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (PG_GETARG_BOOL(2))
		memset(&state, 0, sizeof(state));
	postrider_rate_configure(&state, &policy, time_of(PG_GETARG_FLOAT8(1)));
	PG_RETURN_VOID();
}

/*
 * test_rate_take(now float8, calls integer) returns text: how many of the calls
 * got a token at that time, and the windows that warned
 */
Datum
test_rate_take(PG_FUNCTION_ARGS)
{
	int			taken = 0;
	int			warning;
	StringInfoData result;

	initStringInfo(&result);
	for (int i = 0; i < PG_GETARG_INT32(1); i++)
	{
		if (!postrider_rate_take(&state, time_of(PG_GETARG_FLOAT8(0)), &warning))
			break;
		taken++;
		if (warning >= 0)
			appendStringInfo(&result, ", warning of %d at %d", warning, taken);
	}
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%d%s", taken, result.data)));
}

/* test_rate_put_back(taken_at float8) returns void */
Datum
test_rate_put_back(PG_FUNCTION_ARGS)
{
	postrider_rate_put_back(&state, time_of(PG_GETARG_FLOAT8(0)));
	PG_RETURN_VOID();
}

/* test_rate_put_back_many(since float8, until float8, count integer) returns void */
Datum
test_rate_put_back_many(PG_FUNCTION_ARGS)
{
	postrider_rate_put_back_many(&state, time_of(PG_GETARG_FLOAT8(0)),
								 time_of(PG_GETARG_FLOAT8(1)), PG_GETARG_INT32(2));
	PG_RETURN_VOID();
}

/* test_rate_next(now float8) returns float8 */
Datum
test_rate_next(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(seconds_of(postrider_rate_next_us(&state, time_of(PG_GETARG_FLOAT8(0)))));
}

/*
 * test_rate_observe(now float8, throttled boolean, sent_at float8,
 * retry_at float8, remaining bigint, reset_at float8, in_flight integer)
 * returns void; NULL for what the receiver does not say
 */
Datum
test_rate_observe(PG_FUNCTION_ARGS)
{
	RateObservation observation = {
		.throttled = PG_GETARG_BOOL(1),
		.sent_at_us = time_of(PG_GETARG_FLOAT8(2)),
		.retry_at_us = PG_ARGISNULL(3) ? -1 : time_of(PG_GETARG_FLOAT8(3)),
		.remaining = PG_ARGISNULL(4) ? -1 : PG_GETARG_INT64(4),
		.reset_at_us = PG_ARGISNULL(5) ? -1 : time_of(PG_GETARG_FLOAT8(5)),
		.max_wait_us = INT64CONST(3600000000),
		.in_flight = PG_GETARG_INT32(6)
	};

	postrider_rate_observe(&state, &observation, time_of(PG_GETARG_FLOAT8(0)));
	PG_RETURN_VOID();
}

/* test_rate_adapted(now float8) returns float8 */
Datum
test_rate_adapted(PG_FUNCTION_ARGS)
{
	(void) postrider_rate_next_us(&state, time_of(PG_GETARG_FLOAT8(0)));
	PG_RETURN_FLOAT8(postrider_rate_adapted(&state, time_of(PG_GETARG_FLOAT8(0))));
}

/* test_rate_use(now float8) returns text */
Datum
test_rate_use(PG_FUNCTION_ARGS)
{
	RateUse		use[RATE_MAX_WINDOWS];
	int			count = postrider_rate_use(&state, time_of(PG_GETARG_FLOAT8(0)), use);
	StringInfoData result;

	initStringInfo(&result);
	for (int i = 0; i < count; i++)
		appendStringInfo(&result, "%s" INT64_FORMAT "/%d in %g s", i ? ", " : "",
						 use[i].used, use[i].limit, use[i].period_us / 1e6);
	PG_RETURN_TEXT_P(cstring_to_text(result.data));
}

/* test_rate_shift(seconds float8) returns void */
Datum
test_rate_shift(PG_FUNCTION_ARGS)
{
	postrider_rate_shift(&state, (int64) (PG_GETARG_FLOAT8(0) * 1000000));
	PG_RETURN_VOID();
}

/* test_rate_save(now float8) returns bytea */
Datum
test_rate_save(PG_FUNCTION_ARGS)
{
	bytea	   *result = palloc(VARHDRSZ + sizeof(RateSnapshot));

	SET_VARSIZE(result, VARHDRSZ + sizeof(RateSnapshot));
	{
		RateSnapshot snapshot;

		postrider_rate_save(&state, time_of(PG_GETARG_FLOAT8(0)), &snapshot);
		memcpy(VARDATA(result), &snapshot, sizeof(snapshot));
	}
	PG_RETURN_BYTEA_P(result);
}

/*
 * test_rate_restore(snapshot bytea, limits text, now float8, unsaved float8)
 * returns boolean
 */
Datum
test_rate_restore(PG_FUNCTION_ARGS)
{
	bytea	   *snapshot = PG_GETARG_BYTEA_PP(0);
	RatePolicy	policy;

	make_policy(&policy, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_BOOL(postrider_rate_restore(&state, &policy, VARDATA_ANY(snapshot),
										  VARSIZE_ANY_EXHDR(snapshot),
										  time_of(PG_GETARG_FLOAT8(2)),
										  (int64) (PG_GETARG_FLOAT8(3) * 1000000)));
}

/*
 * The simulation
 */

typedef struct Simulation
{
	pg_prng_state random;
	RatePolicy	policy;
	RateState	state;
	RateSnapshot saved;
	int64		now;
	int64		save_at;
	int64	   *taken;			/* times of the calls */
	int			count;
	bool		saturated;		/* something always waits */
} Simulation;

/* Restarts: every save_at a snapshot; now and then the worker is gone. */
static void
maybe_restart(Simulation *simulation, double probability)
{
	const int64 save_us = 1000000;
	int64		unsaved_us = 0;

	if (simulation->now >= simulation->save_at)
	{
		postrider_rate_save(&simulation->state, simulation->now, &simulation->saved);
		simulation->save_at = simulation->now + save_us;
	}
	if (pg_prng_double(&simulation->random) >= probability)
		return;
	if (pg_prng_bool(&simulation->random))
		postrider_rate_save(&simulation->state, simulation->now, &simulation->saved);
	else
		unsaved_us = save_us;
	simulation->now += (int64) (pg_prng_double(&simulation->random) * 3 *
								simulation->policy.window[0].period_us);
	if (!postrider_rate_restore(&simulation->state, &simulation->policy,
								&simulation->saved, sizeof(simulation->saved),
								simulation->now, unsaved_us))
		elog(ERROR, "the snapshot is not taken");
	simulation->save_at = simulation->now;
}

/* One arrival, or one look of a worker that comes a little late. */
static void
arrive(Simulation *simulation, double mean_gap_us)
{
	double		random = pg_prng_double(&simulation->random);
	int			warning;

	if (simulation->saturated)
		simulation->now = postrider_rate_next_us(&simulation->state, simulation->now) +
			(int64) (random * random * 5000);
	else
		simulation->now += (int64) (-log(1 - random) * mean_gap_us);
	while (postrider_rate_take(&simulation->state, simulation->now, &warning))
	{
		simulation->taken[simulation->count++] = simulation->now;
		if (!simulation->saturated || pg_prng_double(&simulation->random) < 0.3)
			break;
	}
}

/* The most calls in any half-open interval of that length. */
static int
most_within(const Simulation *simulation, int64 period_us)
{
	int			most = 0;
	int			first = 0;

	for (int last = 0; last < simulation->count; last++)
	{
		while (simulation->taken[last] - simulation->taken[first] >= period_us)
			first++;
		most = Max(most, last - first + 1);
	}
	return most;
}

/*
 * test_rate_simulate(limits text, arrivals integer, saturated boolean,
 * restarts float8, seed bigint) returns float8[]: the number of calls; the
 * most in a window, as a share of its limit, over all windows; and the
 * calls as a share of what the tightest limit allows in the whole time
 */
Datum
test_rate_simulate(PG_FUNCTION_ARGS)
{
	Simulation *simulation = palloc0(sizeof(Simulation));
	int			arrivals = PG_GETARG_INT32(1);
	double		restarts = PG_GETARG_FLOAT8(3);
	double		gap = 0;
	double		worst = 0;
	double		used = 0;
	int64		start = EPOCH_US;
	Datum		result[3];

	pg_prng_seed(&simulation->random, PG_GETARG_INT64(4));
	make_policy(&simulation->policy, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	simulation->saturated = PG_GETARG_BOOL(2);
	simulation->now = simulation->save_at = start;
	simulation->taken = MemoryContextAllocHuge(CurrentMemoryContext,
											   sizeof(int64) * (arrivals + RATE_MAX_LIMIT / 1000));
	postrider_rate_init(&simulation->state, &simulation->policy, start);
	for (int i = 0; i < arrivals && simulation->count < arrivals; i++)
	{
		/* Times of rush and of calm, each a few windows long. */
		if (i % 1000 == 0)
		{
			const RateWindow *window =
				&simulation->policy.window[pg_prng_uint64(&simulation->random) %
										   simulation->policy.count];

			gap = (double) window->period_us / window->limit *
				exp((pg_prng_double(&simulation->random) - 0.7) * 5);
			CHECK_FOR_INTERRUPTS();
		}
		arrive(simulation, gap);
		if (restarts > 0)
			maybe_restart(simulation, restarts);
	}
	for (int i = 0; i < simulation->policy.count; i++)
	{
		const RateWindow *window = &simulation->policy.window[i];
		double		allowed = (double) window->limit *
			(simulation->now - start) / window->period_us;

		worst = Max(worst, (double) most_within(simulation, window->period_us) / window->limit);
		used = Max(used, simulation->count / Max(allowed, window->limit));
	}
	result[0] = Float8GetDatum(simulation->count);
	result[1] = Float8GetDatum(worst);
	result[2] = Float8GetDatum(used);
	PG_RETURN_ARRAYTYPE_P(construct_array(result, 3, FLOAT8OID, 8, FLOAT8PASSBYVAL,
										  TYPALIGN_DOUBLE));
}

/*
 * test_rate_nanoseconds(limits text, times integer) returns float8: the mean
 * time of a decision, half of which let a call through
 */
Datum
test_rate_nanoseconds(PG_FUNCTION_ARGS)
{
	RatePolicy	policy;
	RateState  *own = palloc0(sizeof(RateState));
	int			times = PG_GETARG_INT32(1);
	int64		now = EPOCH_US;
	int			warning;
	instr_time	start;
	instr_time	duration;

	make_policy(&policy, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	postrider_rate_init(own, &policy, now);
	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < times; i++)
	{
		if (!postrider_rate_take(own, now, &warning))
			now = postrider_rate_next_us(own, now);
	}
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	PG_RETURN_FLOAT8(INSTR_TIME_GET_MICROSEC(duration) * 1000.0 / times);
}
