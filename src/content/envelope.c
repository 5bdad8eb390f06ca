/*-------------------------------------------------------------------------
 *
 * envelope.c
 *	  The body of a request.
 *
 * This runs for every message that is read from the log, so the time is
 * written by hand and nothing is copied that need not be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "content/envelope.h"
#include "mb/pg_wchar.h"
#include "util/compat.h"
#include "util/utf8.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"

#define MS_PER_DAY 86400000
#define REPLACEMENT_CHARACTER "\xef\xbf\xbd"	/* U+FFFD in UTF-8 */
#define PIECE_BYTES (64 * 1024)
#define CONVERTED_BYTES ((PIECE_BYTES + 2) * MAX_CONVERSION_GROWTH + 1)

static char *
put_digits(char *to, uint32 value, int width, char after)
{
	to = pg_ultostr_zeropad(to, value, width);
	*to++ = after;
	return to;
}

/* The first 48 bits of the id are Unix milliseconds: until the year 10889. */
void
postrider_envelope_time(StringInfo body, const pg_uuid_t *id)
{
	uint64		ms = 0;
	uint32		of_day;
	int			year;
	int			month;
	int			day;
	char		buffer[32];
	char	   *to = buffer;

	for (int i = 0; i < 6; i++)
		ms = (ms << 8) | id->data[i];
	j2date((int) (ms / MS_PER_DAY) + UNIX_EPOCH_JDATE, &year, &month, &day);
	of_day = (uint32) (ms % MS_PER_DAY);

	to = put_digits(to, year, 4, '-');
	to = put_digits(to, month, 2, '-');
	to = put_digits(to, day, 2, 'T');
	to = put_digits(to, of_day / 3600000, 2, ':');
	to = put_digits(to, of_day / 60000 % 60, 2, ':');
	to = put_digits(to, of_day / 1000 % 60, 2, '.');
	to = put_digits(to, of_day % 1000, 3, 'Z');
	appendBinaryStringInfo(body, buffer, to - buffer);
}

/*
 * JSON on the wire is UTF-8 (RFC 8259), whatever the database's encoding.  A
 * character that cannot be converted becomes U+FFFD: an error here would
 * stop the worker at this message for ever.
 *
 * The text is converted piece by piece.  Each conversion stops short of a
 * character that is bad or cut off by the end of the piece; which of the two
 * it is shows when it comes first in the next piece.
 */
void
postrider_envelope_to_utf8(StringInfo body, int start)
{
	int			encoding = GetDatabaseEncoding();
	int			length = body->len - start;
	Oid			procedure;
	unsigned char *source;
	unsigned char *from;
	unsigned char *converted;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII ||
		postrider_utf8_is_ascii(body->data + start, length))
		return;
	procedure = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(procedure))
		return;

	source = from = (unsigned char *) pnstrdup(body->data + start, length);
	converted = palloc(CONVERTED_BYTES);
	body->len = start;
	while (length > 0)
	{
		int			done = pg_do_encoding_conversion_buf(procedure,
														 encoding, PG_UTF8,
														 from,
														 Min(length, PIECE_BYTES),
														 converted,
														 CONVERTED_BYTES, true);

		appendStringInfoString(body, (char *) converted);
		if (done == 0)
		{
			appendStringInfoString(body, REPLACEMENT_CHARACTER);
			done = Min(pg_encoding_mblen(encoding, (char *) from), length);
		}
		from += done;
		length -= done;
	}
	pfree(source);
	pfree(converted);
}

void
postrider_envelope_build(StringInfo body, const char *topic,
						 const pg_uuid_t *id, Jsonb *payload)
{
	int			start = body->len;

	appendStringInfoString(body, "{\"type\":");
	escape_json(body, topic);
	appendStringInfoString(body, ",\"timestamp\":\"");
	postrider_envelope_time(body, id);
	appendStringInfoString(body, "\",\"data\":");
	(void) JsonbToCString(body, &payload->root, VARSIZE(payload));
	appendStringInfoChar(body, '}');
	postrider_envelope_to_utf8(body, start);
}
