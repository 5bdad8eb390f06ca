/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  The policy of an endpoint, made of the values of its row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "policy/policy.h"

#define SECOND_US INT64CONST(1000000)
#define DAY_US (24 * 60 * 60 * SECOND_US)

#define DEFAULT_WARN_AT 0.8
#define DEFAULT_MAX_IN_FLIGHT 16
#define DEFAULT_BATCH_BYTES (1024 * 1024)

#define MIN_BATCH_BYTES 1024
#define MAX_BATCH_BYTES (64 * 1024 * 1024)

static bool
refuse(PolicyProblem *problem, const char *column, const char *what,
	   const char *hint)
{
	problem->column = column;
	problem->problem = what;
	problem->hint = hint;
	return false;
}

static bool
is_within(int64 value, int64 least, int64 most)
{
	return value >= least && value <= most;
}

/* NaN is not */
static bool
is_share(double value)
{
	return value > 0 && value <= 1;
}

void
postrider_policy_default(Policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	policy->rate.warn_at = DEFAULT_WARN_AT;
	policy->max_in_flight = DEFAULT_MAX_IN_FLIGHT;
	policy->breaker.failure_share = 0.5;
	policy->breaker.min_count = 20;
	policy->breaker.window_us = 60 * SECOND_US;
	policy->breaker.open_us = 5 * SECOND_US;
	policy->breaker.open_max_us = 300 * SECOND_US;
	policy->breaker.disable_after_us = 5 * DAY_US;
	policy->blocks_on_dead = true;
	policy->batch_size = 1;
	policy->batch_bytes = DEFAULT_BATCH_BYTES;
}

/*
 * Rate
 */

/* The windows by period; false if two are for the same one. */
static bool
sort_windows(RatePolicy *rate)
{
	for (int i = 1; i < rate->count; i++)
	{
		for (int j = i; j > 0 && rate->window[j].period_us < rate->window[j - 1].period_us; j--)
		{
			RateWindow	window = rate->window[j];

			rate->window[j] = rate->window[j - 1];
			rate->window[j - 1] = window;
		}
	}
	for (int i = 1; i < rate->count; i++)
		if (rate->window[i].period_us == rate->window[i - 1].period_us)
			return false;
	return true;
}

/* Of the limits of requests the shortest is spread evenly. */
static bool
arrange_windows(RatePolicy *rate)
{
	if (rate->count == 0)
		return true;
	if (!sort_windows(rate))
		return false;
	rate->window[0].spread = true;
	return true;
}

bool
postrider_rate_merge(RatePolicy *rate, const RatePolicy *other)
{
	RateWindow	all[2 * RATE_MAX_WINDOWS] = {0};
	int			count = 0;
	int			from = 0;
	int			from_other = 0;

	while (from < rate->count || from_other < other->count)
	{
		const RateWindow *mine = from < rate->count ? &rate->window[from] : NULL;
		const RateWindow *its = from_other < other->count ?
			&other->window[from_other] : NULL;

		if (mine && its && mine->period_us == its->period_us)
		{
			all[count] = mine->limit <= its->limit ? *mine : *its;
			all[count].burst = Min(mine->burst, its->burst);
			all[count].spread = mine->spread || its->spread;
			from++, from_other++;
		}
		else if (its == NULL || (mine && mine->period_us < its->period_us))
			all[count] = *mine, from++;
		else
			all[count] = *its, from_other++;
		count++;
	}
	if (other->warn_at > 0)
		rate->warn_at = rate->warn_at > 0 ? Min(rate->warn_at, other->warn_at) :
			other->warn_at;
	rate->count = Min(count, RATE_MAX_WINDOWS);
	memcpy(rate->window, all, sizeof(RateWindow) * rate->count);
	return count <= RATE_MAX_WINDOWS;
}

static bool
make_single_limit(const PolicyValues *values, RatePolicy *rate,
				  PolicyProblem *problem)
{
	RateWindow *window = &rate->window[0];

	if (values->rate_period_us != POLICY_NULL &&
		!is_within(values->rate_period_us, RATE_MIN_PERIOD_US, RATE_MAX_PERIOD_US))
		return refuse(problem, "rate_period",
					  "must be between 100 milliseconds and 31 days", NULL);
	if (values->rate_limit == POLICY_NULL)
	{
		if (values->rate_burst != POLICY_NULL)
			return refuse(problem, "rate_burst", "needs a rate_limit",
						  "Set rate_limit, or write the burst in rate_limits: '100 per 10 s burst 20'.");
		return true;
	}
	if (!is_within(values->rate_limit, 1, RATE_MAX_LIMIT))
		return refuse(problem, "rate_limit",
					  "must be between 1 and 1000000000",
					  "Set enabled to false to send nothing, or rate_limit to NULL for no limit.");
	if (values->rate_period_us == POLICY_NULL)
		return refuse(problem, "rate_period", "must not be null with a rate_limit",
					  "Set rate_period to '1 second', for example.");
	if (values->rate_burst != POLICY_NULL &&
		!is_within(values->rate_burst, 1, values->rate_limit))
		return refuse(problem, "rate_burst",
					  "must be between 1 and its rate_limit",
					  "A burst is a part of the limit that may go at once.");
	window->limit = (int32) values->rate_limit;
	window->period_us = values->rate_period_us;
	window->burst = values->rate_burst == POLICY_NULL ? 0 : (int32) values->rate_burst;
	window->spread = window->burst > 0;
	rate->count = 1;
	return true;
}

static bool
make_rate(const PolicyValues *values, Policy *policy, PolicyProblem *problem)
{
	RatePolicy *rate = &policy->rate;
	char	   *why;

	if (!make_single_limit(values, rate, problem))
		return false;
	if (values->rate_limits != NULL &&
		!postrider_rate_parse(values->rate_limits, rate, &why))
		return refuse(problem, "rate_limits", why,
					  "Write, for example, '100 per 10 s, 250000 per day'.");
	if (!arrange_windows(rate))
		return refuse(problem,
					  values->rate_limits == NULL ? "rate_limit" : "rate_limits",
					  "must not have two limits for the same period",
					  "Keep the lower one; rate_limit per rate_period counts as well.");
	if (values->rate_group != NULL)
	{
		Size		length = strlen(values->rate_group);

		if (length == 0 || length > POLICY_MAX_GROUP_BYTES)
			return refuse(problem, "rate_group", "must have 1 to 200 bytes",
						  "Set it to NULL if the limits are of this endpoint only.");
		memcpy(policy->rate_group, values->rate_group, length + 1);
	}
	if (!values->warn_at_isnull && !is_share(values->warn_at))
		return refuse(problem, "warn_at", "must be above 0 and at most 1",
					  "It is a share of the limit: 0.8 warns at 80 %; NULL never warns.");
	rate->warn_at = values->warn_at_isnull ? 0 : values->warn_at;
	return true;
}

/* The windows of a column of a tenant. */
static bool
parse_limits(const char *column, const char *limits, const char *hint, RatePolicy *rate,
			 PolicyProblem *problem)
{
	char	   *why;

	memset(rate, 0, sizeof(*rate));
	return postrider_rate_parse(limits, rate, &why) || refuse(problem, column, why, hint);
}

static bool
refuse_two_alike(const char *column, PolicyProblem *problem)
{
	return refuse(problem, column, "must not have two limits for the same period",
				  "Keep the lower one.");
}

bool
postrider_tenant_rate_make(const char *limits, RatePolicy *rate, PolicyProblem *problem)
{
	return parse_limits("rate_limits", limits,
						"Write, for example, '100 per 10 s, 250000 per day'.", rate, problem) &&
		(arrange_windows(rate) || refuse_two_alike("rate_limits", problem));
}

bool
postrider_message_limits_make(const char *limits, RatePolicy *rate, PolicyProblem *problem)
{
	if (!parse_limits("message_limits", limits,
					  "Write, for example, '1000 per min, 250000 per day'.", rate, problem))
		return false;
	for (int i = 0; i < rate->count; i++)
		if (rate->window[i].spread)
			return refuse(problem, "message_limits", "must not have the words burst and spread",
						  "A transaction cannot wait: messages come as they come, until a limit is reached.");
	return sort_windows(rate) || refuse_two_alike("message_limits", problem);
}

/*
 * Breaker
 */

static bool
make_breaker(const PolicyValues *values, BreakerPolicy *breaker,
			 PolicyProblem *problem)
{
	if (!values->breaker_share_isnull && !is_share(values->breaker_share))
		return refuse(problem, "breaker_share", "must be above 0 and at most 1",
					  "It is the share of failures that opens the breaker; NULL is no breaker.");
	if (!is_within(values->breaker_min_count, 1, 100000))
		return refuse(problem, "breaker_min_count",
					  "must be between 1 and 100000", NULL);
	if (!is_within(values->breaker_window_us, SECOND_US, DAY_US))
		return refuse(problem, "breaker_window",
					  "must be between 1 second and 1 day", NULL);
	if (!is_within(values->breaker_open_us, SECOND_US / 10, DAY_US))
		return refuse(problem, "breaker_open",
					  "must be between 100 milliseconds and 1 day", NULL);
	if (!is_within(values->breaker_open_max_us, values->breaker_open_us, DAY_US))
		return refuse(problem, "breaker_open_max",
					  "must be between its breaker_open and 1 day", NULL);
	if (values->disable_after_us != POLICY_NULL &&
		!is_within(values->disable_after_us, SECOND_US, 366 * DAY_US))
		return refuse(problem, "disable_after",
					  "must be between 1 second and 366 days",
					  "Set it to NULL to disable the endpoint never.");
	breaker->failure_share = values->breaker_share_isnull ? 0 : values->breaker_share;
	breaker->min_count = (int) values->breaker_min_count;
	breaker->window_us = values->breaker_window_us;
	breaker->open_us = values->breaker_open_us;
	breaker->open_max_us = values->breaker_open_max_us;
	breaker->disable_after_us = values->disable_after_us == POLICY_NULL ? 0 :
		values->disable_after_us;
	return true;
}

/*
 * Order, coalescing
 */

static bool
make_order(const PolicyValues *values, Policy *policy, PolicyProblem *problem)
{
	const char *on_dead = values->on_dead ? values->on_dead : "";

	if (strcmp(on_dead, "block") != 0 && strcmp(on_dead, "skip") != 0)
		return refuse(problem, "on_dead", "must be block or skip",
					  "block: what is behind a dead message of its key waits; skip: it goes on.");
	policy->ordered = values->ordered;
	policy->coalesce = values->coalesce;
	policy->blocks_on_dead = strcmp(on_dead, "block") == 0;
	if (policy->ordered && policy->coalesce && policy->blocks_on_dead)
		return refuse(problem, "coalesce",
					  "contradicts ordered with on_dead = 'block'",
					  "Coalescing skips messages that blocking insists on: set on_dead to 'skip', or coalesce or ordered to false.");
	return true;
}

/*
 * Batches
 */

/* Is there exactly one place for the records? */
static bool
has_place(const char *layout)
{
	const char *place = strstr(layout, POLICY_RECORDS);

	return place != NULL && strstr(place + 1, POLICY_RECORDS) == NULL;
}

static bool
make_batch_format(const PolicyValues *values, Policy *policy,
				  PolicyProblem *problem)
{
	const char *format = values->batch_format;

	if (strcmp(format, "json-array") == 0)
		policy->batch_format = BATCH_JSON_ARRAY;
	else if (strcmp(format, "ndjson") == 0)
		policy->batch_format = BATCH_NDJSON;
	else if (strcmp(format, "envelope") == 0)
		policy->batch_format = BATCH_ENVELOPE;
	else
		return refuse(problem, "batch_format",
					  "must be json-array, ndjson or envelope", NULL);
	if (policy->batch_format == BATCH_ENVELOPE &&
		(values->batch_template == NULL || !has_place(values->batch_template)))
		return refuse(problem, "batch_template",
					  "must have one place for the records",
					  "Write, for example, '{\"inputs\": {{records}}}'.");
	if (policy->batch_format != BATCH_ENVELOPE && values->batch_template != NULL)
		return refuse(problem, "batch_template",
					  "is for batch_format = 'envelope' only",
					  "Set batch_format to 'envelope', or batch_template to NULL.");
	return true;
}

/* Without batch_size the other columns of batches would do nothing. */
static bool
make_no_batch(const PolicyValues *values, PolicyProblem *problem)
{
	const char *hint = "Set batch_size to the most messages that may go in one request.";

	if (values->batch_bytes != POLICY_NULL)
		return refuse(problem, "batch_bytes", "needs a batch_size", hint);
	if (values->batch_delay_us != POLICY_NULL)
		return refuse(problem, "batch_delay", "needs a batch_size", hint);
	if (values->batch_format != NULL)
		return refuse(problem, "batch_format", "needs a batch_size", hint);
	if (values->batch_template != NULL)
		return refuse(problem, "batch_template", "needs a batch_size", hint);
	if (values->has_batch_failed)
		return refuse(problem, "batch_failed", "needs a batch_size", hint);
	if (values->has_batch_error)
		return refuse(problem, "batch_error", "needs a batch_size", hint);
	return true;
}

static bool
make_batch(const PolicyValues *values, Policy *policy, PolicyProblem *problem)
{
	if (values->batch_size == POLICY_NULL)
		return make_no_batch(values, problem);
	if (!is_within(values->batch_size, 2, POLICY_MAX_BATCH))
		return refuse(problem, "batch_size", "must be between 2 and 1000",
					  "Set it to NULL to send one message in each request.");
	if (values->batch_format == NULL)
		return refuse(problem, "batch_format", "must be set with a batch_size",
					  "Use json-array, ndjson or envelope.");
	if (values->batch_bytes != POLICY_NULL &&
		!is_within(values->batch_bytes, MIN_BATCH_BYTES, MAX_BATCH_BYTES))
		return refuse(problem, "batch_bytes",
					  "must be between 1024 and 67108864", NULL);
	if (values->batch_delay_us != POLICY_NULL &&
		!is_within(values->batch_delay_us, 0, 3600 * SECOND_US))
		return refuse(problem, "batch_delay",
					  "must be between zero and 1 hour", NULL);
	if (!make_batch_format(values, policy, problem))
		return false;
	if (values->has_batch_error && !values->has_batch_failed)
		return refuse(problem, "batch_error", "needs a batch_failed",
					  "Set batch_failed to the path to what failed.");
	policy->batch_size = (int) values->batch_size;
	if (values->batch_bytes != POLICY_NULL)
		policy->batch_bytes = (int) values->batch_bytes;
	if (values->batch_delay_us != POLICY_NULL)
		policy->batch_delay_us = values->batch_delay_us;
	return true;
}

bool
postrider_policy_make(const PolicyValues *values, Policy *policy,
					  PolicyProblem *problem)
{
	postrider_policy_default(policy);
	if (values->max_in_flight != POLICY_NULL)
		policy->max_in_flight = (int) Max(Min(values->max_in_flight, PG_INT32_MAX), 1);
	if (make_rate(values, policy, problem) &&
		make_breaker(values, &policy->breaker, problem) &&
		make_order(values, policy, problem) &&
		make_batch(values, policy, problem))
		return true;
	postrider_policy_default(policy);
	return false;
}
