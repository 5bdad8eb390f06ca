/*-------------------------------------------------------------------------
 *
 * policy_row.c
 *	  The policy in a row of postrider.endpoint.
 *
 * What the values mean together is known to policy/policy.c.  NULL in a column
 * that must not be NULL stands for the default here: its constraint speaks up after
 * the trigger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "outbox/policy_row.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Longer times are out of every range, so they need not be exact. */
#define MAX_DAYS 100000

typedef struct PolicyColumn
{
	const char *name;
	Oid			type;
	Size		offset;			/* of the value in PolicyValues */
	int			isnull_offset;	/* of the flag, if it has one; else -1 */
} PolicyColumn;

#define COLUMN(column, column_type, field) \
	{column, column_type, offsetof(PolicyValues, field), -1}
#define SHARE_COLUMN(column) \
	{#column, FLOAT8OID, offsetof(PolicyValues, column), \
	offsetof(PolicyValues, column##_isnull)}

static const PolicyColumn columns[] = {
	COLUMN("max_in_flight", INT4OID, max_in_flight),
	COLUMN("rate_limit", INT4OID, rate_limit),
	COLUMN("rate_period", INTERVALOID, rate_period_us),
	COLUMN("rate_burst", INT4OID, rate_burst),
	COLUMN("rate_limits", TEXTOID, rate_limits),
	COLUMN("rate_group", TEXTOID, rate_group),
	SHARE_COLUMN(warn_at),
	SHARE_COLUMN(breaker_share),
	COLUMN("breaker_min_count", INT4OID, breaker_min_count),
	COLUMN("breaker_window", INTERVALOID, breaker_window_us),
	COLUMN("breaker_open", INTERVALOID, breaker_open_us),
	COLUMN("breaker_open_max", INTERVALOID, breaker_open_max_us),
	COLUMN("disable_after", INTERVALOID, disable_after_us),
	COLUMN("ordered", BOOLOID, ordered),
	COLUMN("on_dead", TEXTOID, on_dead),
	COLUMN("coalesce", BOOLOID, coalesce),
	COLUMN("batch_size", INT4OID, batch_size),
	COLUMN("batch_bytes", INT4OID, batch_bytes),
	COLUMN("batch_delay", INTERVALOID, batch_delay_us),
	COLUMN("batch_format", TEXTOID, batch_format),
	COLUMN("batch_template", TEXTOID, batch_template),
	COLUMN("batch_failed", JSONPATHOID, has_batch_failed),
	COLUMN("batch_error", JSONPATHOID, has_batch_error)
};

static int64
interval_us(const Interval *interval)
{
	int64		days = Max(Min(interval->day, MAX_DAYS), -MAX_DAYS);
	int64		time = interval->time;
	int64		limit = PG_INT64_MAX / 2;

	return days * USECS_PER_DAY + Max(Min(time, limit), -limit);
}

/* Defaults of the columns that must not be NULL; NULL for the others. */
static void
init_values(PolicyValues *values)
{
	Policy		policy;

	postrider_policy_default(&policy);
	memset(values, 0, sizeof(*values));
	values->rate_limit = values->rate_burst = POLICY_NULL;
	values->rate_period_us = POLICY_NULL;
	values->max_in_flight = policy.max_in_flight;
	values->warn_at_isnull = values->breaker_share_isnull = true;
	values->breaker_min_count = policy.breaker.min_count;
	values->breaker_window_us = policy.breaker.window_us;
	values->breaker_open_us = policy.breaker.open_us;
	values->breaker_open_max_us = policy.breaker.open_max_us;
	values->disable_after_us = POLICY_NULL;
	values->on_dead = "block";
	values->batch_size = values->batch_bytes = POLICY_NULL;
	values->batch_delay_us = POLICY_NULL;
}

/* Stores a value that is not NULL; false if it cannot be. */
static bool
store_value(PolicyValues *values, const PolicyColumn *column, Datum value,
			PolicyProblem *problem)
{
	char	   *field = (char *) values + column->offset;

	switch (column->type)
	{
		case INT4OID:
			*(int64 *) field = DatumGetInt32(value);
			break;
		case BOOLOID:
			*(bool *) field = DatumGetBool(value);
			break;
		case TEXTOID:
			*(const char **) field = TextDatumGetCString(value);
			break;
		case FLOAT8OID:
			/* cppcheck-suppress invalidPointerCast; it is the offset of a double */
			*(double *) field = DatumGetFloat8(value);
			*((bool *) ((char *) values + column->isnull_offset)) = false;
			break;
		case JSONPATHOID:
			*(bool *) field = true;
			break;
		case INTERVALOID:
			if (DatumGetIntervalP(value)->month != 0)
			{
				problem->column = column->name;
				problem->problem = "must not have months or years in it";
				problem->hint = "Write it in days, hours, minutes and seconds.";
				return false;
			}
			*(int64 *) field = interval_us(DatumGetIntervalP(value));
			break;
		default:
			elog(ERROR, "unexpected type of column \"%s\"", column->name);
	}
	return true;
}

bool
postrider_policy_read(TupleDesc desc, HeapTuple tuple, Policy *policy,
					  PolicyProblem *problem)
{
	TriggerRow	row = {.desc = desc, .tuple = tuple};
	PolicyValues values;

	init_values(&values);
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		bool		isnull;
		Datum		value = postrider_trigger_get(&row, tuple, columns[i].name,
											  columns[i].type, &isnull);

		if (!isnull && !store_value(&values, &columns[i], value, problem))
		{
			postrider_policy_default(policy);
			return false;
		}
	}
	return postrider_policy_make(&values, policy, problem);
}

static bool
has_changed(const TriggerRow *row)
{
	for (int i = 0; i < (int) lengthof(columns); i++)
		if (postrider_trigger_changed(row, columns[i].name, columns[i].type))
			return true;
	return false;
}

void
postrider_policy_require(const TriggerRow *row)
{
	Policy		policy;
	PolicyProblem problem;

	if (has_changed(row) &&
		!postrider_policy_read(row->desc, row->tuple, &policy, &problem))
		postrider_trigger_refuse(row, problem.column, problem.problem, problem.hint);
}
