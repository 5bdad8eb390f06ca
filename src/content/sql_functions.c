/*-------------------------------------------------------------------------
 *
 * sql_functions.c
 *	  The functions of src/content that can be called in SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/topic.h"
#include "fmgr.h"
#include "util/compat.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(postrider_is_topic);
PG_FUNCTION_INFO_V1(postrider_is_topic_pattern);
PG_FUNCTION_INFO_V1(postrider_topic_matches_sql);
PG_FUNCTION_INFO_V1(postrider_filter_matches_sql);

/* SQL: postrider.is_topic(topic) */
Datum
postrider_is_topic(PG_FUNCTION_ARGS)
{
	text	   *topic = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(postrider_topic_is_valid(VARDATA_ANY(topic),
											VARSIZE_ANY_EXHDR(topic)));
}

/* SQL: postrider.is_topic_pattern(pattern) */
Datum
postrider_is_topic_pattern(PG_FUNCTION_ARGS)
{
	text	   *pattern = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(postrider_topic_pattern_is_valid(VARDATA_ANY(pattern),
													VARSIZE_ANY_EXHDR(pattern)));
}

/* SQL: postrider.topic_matches(topic, pattern) */
Datum
postrider_topic_matches_sql(PG_FUNCTION_ARGS)
{
	char	   *topic = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *pattern = text_to_cstring(PG_GETARG_TEXT_PP(1));

	postrider_topic_require(topic, strlen(topic));
	postrider_topic_pattern_require(pattern, strlen(pattern));
	PG_RETURN_BOOL(postrider_topic_matches(topic, pattern));
}

/* SQL: postrider.filter_matches(payload, filter) */
Datum
postrider_filter_matches_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(postrider_filter_matches(PG_GETARG_JSONB_P(0),
											PG_GETARG_JSONPATH_P(1)));
}
