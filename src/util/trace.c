/*-------------------------------------------------------------------------
 *
 * trace.c
 *	  W3C Trace Context; see trace.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "util/compat.h"
#include "util/trace.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(postrider_span_id);

#define UINT64_FORMAT_HEX "%016" POSTRIDER_INT64_HEX

/* Where its parts are: 00-<trace>-<parent>-<flags> */
#define TRACE_AT	3
#define TRACE_DIGITS 32
#define PARENT_AT	36
#define PARENT_DIGITS 16
#define FLAGS_AT	53

static bool
are_zeros(const char *digits, int count)
{
	return (int) strspn(digits, "0") >= count;
}

bool
postrider_traceparent_is_valid(const char *traceparent)
{
	static const char form[TRACEPARENT_SIZE] =
		"xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";

	for (int i = 0; i < TRACEPARENT_SIZE; i++)
	{
		char		c = traceparent[i];

		if (form[i] == 'x' ? !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) :
			c != form[i])
			return false;
	}
	return strncmp(traceparent, "ff", 2) != 0 &&
		!are_zeros(traceparent + TRACE_AT, TRACE_DIGITS) &&
		!are_zeros(traceparent + PARENT_AT, PARENT_DIGITS);
}

uint64
postrider_trace_span(const pg_uuid_t *message_id, int32 endpoint_id, TimestampTz started_at)
{
	unsigned char key[UUID_LEN + sizeof(endpoint_id)];
	uint64		span;

	memcpy(key, message_id->data, UUID_LEN);
	memcpy(key + UUID_LEN, &endpoint_id, sizeof(endpoint_id));
	span = hash_bytes_extended(key, sizeof(key), (uint64) started_at);
	return span == 0 ? 1 : span;
}

/* Of the flags we know one, "sampled"; the others are to be zero. */
void
postrider_traceparent_child(const char *traceparent, uint64 span, char child[TRACEPARENT_SIZE])
{
	const char *last_digit = traceparent + FLAGS_AT + 1;
	bool		sampled = strchr("13579bdf", *last_digit) != NULL;

	snprintf(child, TRACEPARENT_SIZE, "00-%.32s-" UINT64_FORMAT_HEX "-0%d",
			 traceparent + TRACE_AT, span, sampled);
}

void
postrider_trace_continue(const char *traceparent, const pg_uuid_t *message_id,
						 int32 endpoint_id, TimestampTz started_at)
{
	char		child[TRACEPARENT_SIZE] = "";

	if (traceparent && postrider_traceparent_is_valid(traceparent))
		postrider_traceparent_child(traceparent,
									postrider_trace_span(message_id, endpoint_id, started_at),
									child);
	(void) set_config_option("postrider.traceparent", child, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* SQL: postrider.span_id(message_id, endpoint_id, started_at) */
Datum
postrider_span_id(PG_FUNCTION_ARGS)
{
	uint64		span = postrider_trace_span(PG_GETARG_UUID_P(0), PG_GETARG_INT32(1),
											PG_GETARG_TIMESTAMPTZ(2));

	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT_HEX, span)));
}
