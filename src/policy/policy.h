/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  The policy of an endpoint: from the values of its row to a struct.
 *
 * Pure: outbox/policy_row.h reads the row.  The trigger on postrider.endpoint
 * uses the same functions to refuse what makes no sense, so that whatever is
 * in the table can be loaded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_POLICY_H
#define POSTRIDER_POLICY_H

#include "postgres.h"

#include "policy/breaker.h"
#include "policy/rate_limit.h"

#define POLICY_MAX_GROUP_BYTES 200
#define POLICY_MAX_BATCH 1000

/* NULL in a column; no value that is allowed equals it. */
#define POLICY_NULL PG_INT64_MIN

/* The columns as they are.  Times in microseconds. */
typedef struct PolicyValues
{
	int64		rate_limit;
	int64		rate_period_us;
	int64		rate_burst;
	const char *rate_limits;	/* or NULL, as all texts */
	const char *rate_group;
	bool		warn_at_isnull;
	double		warn_at;
	int64		max_in_flight;
	bool		breaker_share_isnull;
	double		breaker_share;
	int64		breaker_min_count;
	int64		breaker_window_us;
	int64		breaker_open_us;
	int64		breaker_open_max_us;
	int64		disable_after_us;
	bool		ordered;
	const char *on_dead;
	bool		coalesce;
	int64		batch_size;
	int64		batch_bytes;
	int64		batch_delay_us;
	const char *batch_format;
	const char *batch_template;
	bool		has_batch_failed;	/* the paths are the caller's */
	bool		has_batch_error;
} PolicyValues;

typedef enum BatchFormat
{
	BATCH_NONE,					/* a message, a request */
	BATCH_JSON_ARRAY,
	BATCH_NDJSON,
	BATCH_ENVELOPE
} BatchFormat;

typedef struct Policy
{
	RatePolicy	rate;
	char		rate_group[POLICY_MAX_GROUP_BYTES + 1]; /* "": of its own */
	int			max_in_flight;
	BreakerPolicy breaker;
	bool		ordered;
	bool		blocks_on_dead; /* what is behind a dead one waits */
	bool		coalesce;
	int			batch_size;		/* 1: no batches */
	int			batch_bytes;
	int64		batch_delay_us;
	BatchFormat batch_format;
} Policy;

/* What is wrong with a policy, in words that go behind the column's name. */
typedef struct PolicyProblem
{
	const char *column;
	const char *problem;
	const char *hint;			/* or NULL */
} PolicyProblem;

/* Where the records go in a batch_template. */
#define POLICY_RECORDS "{{records}}"

/* No limits, 16 in flight, the default breaker. */
extern void postrider_policy_default(Policy *policy);

/*
 * Fills in the policy.  False, with the default policy, at the first value
 * that makes no sense.
 */
extern bool postrider_policy_make(const PolicyValues *values, Policy *policy,
								  PolicyProblem *problem);

/*
 * Adds the windows that a text such as '100 per 10 s, 250000 per day' lists.
 * False if it cannot be read; *problem, palloc'd, says why and where.
 */
extern bool postrider_rate_parse(const char *limits, RatePolicy *rate,
								 char **problem);

/*
 * Of several endpoints of a rate_group all limits hold: the windows of "other"
 * are added to those of "rate"; of two with the same period the lower limit
 * holds.  The result does not depend on the order.  False if there are more than
 * RATE_MAX_WINDOWS: the shortest ones are kept.
 */
extern bool postrider_rate_merge(RatePolicy *rate, const RatePolicy *other);

/*
 * The limits of a tenant from its texts: of requests, the shortest spread evenly;
 * and of messages, none spread.  Nobody is warned.  False at what makes no sense.
 */
extern bool postrider_tenant_rate_make(const char *limits, RatePolicy *rate,
									   PolicyProblem *problem);
extern bool postrider_message_limits_make(const char *limits, RatePolicy *rate,
										  PolicyProblem *problem);

#endif							/* POSTRIDER_POLICY_H */
