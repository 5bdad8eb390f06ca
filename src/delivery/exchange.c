/*-------------------------------------------------------------------------
 *
 * exchange.c
 *	  What goes over the wire in one request; see exchange.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/exchange.h"
#include "security/secret_name.h"
#include "util/text.h"

/* Called by curl, so it neither allocates nor raises an error. */
static int
record(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
	Exchange   *exchange = arg;
	ExchangeSide *side;
	Size		keep;

	/* What a proxy is asked is no part of the request, and has a header with a password. */
	if (type == CURLINFO_HEADER_OUT && size > 8 && memcmp(data, "CONNECT ", 8) == 0)
		return 0;
	if (type == CURLINFO_HEADER_OUT || type == CURLINFO_DATA_OUT)
		side = &exchange->request;
	else if (type == CURLINFO_HEADER_IN || type == CURLINFO_DATA_IN)
		side = &exchange->response;
	else
		return 0;
	keep = Min(size, EXCHANGE_BYTES - side->length);
	memcpy(side->data + side->length, data, keep);
	side->length += keep;
	side->lost += size - keep;
	return 0;
}

void
postrider_exchange_record(CURL *easy, Exchange *exchange)
{
	curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, record);
	curl_easy_setopt(easy, CURLOPT_DEBUGDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
}

static void
show_text(StringInfo out, const char *bytes, Size length)
{
	char	   *clean = postrider_text_clean(bytes, (int) length);

	appendStringInfoString(out, clean);
	pfree(clean);
}

/* The query of "GET /path?a=b&api_key=c HTTP/1.1". */
void
postrider_exchange_show_url(StringInfo out, const char *line, Size length)
{
	const char *end = line + length;
	const char *next = memchr(line, '?', length);

	if (next == NULL)
	{
		show_text(out, line, length);
		return;
	}
	show_text(out, line, ++next - line);
	while (next < end)
	{
		const char *stop = next;
		const char *equals;

		while (stop < end && *stop != '&' && *stop != ' ')
			stop++;
		equals = memchr(next, '=', stop - next);
		if (equals && postrider_is_secret_name(next, equals - next))
		{
			show_text(out, next, equals + 1 - next);
			appendStringInfoString(out, "***");
		}
		else
			show_text(out, next, stop - next);
		if (stop < end && *stop == ' ')
		{
			show_text(out, stop, end - stop);
			return;
		}
		if (stop < end)
			appendStringInfoChar(out, '&');
		next = stop + 1;
	}
}

void
postrider_exchange_show_line(StringInfo out, const char *line, Size length)
{
	const char *colon = memchr(line, ':', length);
	const char *blank = memchr(line, ' ', length);

	if (colon == NULL || (blank && blank < colon))
		postrider_exchange_show_url(out, line, length);
	else if (postrider_is_secret_name(line, colon - line))
	{
		show_text(out, line, colon + 1 - line);
		appendStringInfoString(out, " ***");
	}
	else
		show_text(out, line, length);
}

void
postrider_exchange_show(StringInfo out, const char *bytes, Size size, Size lost)
{
	const char *next = bytes;
	const char *end = bytes + size;

	while (next < end)
	{
		const char *stop = memchr(next, '\n', end - next);
		Size		length = (stop ? stop : end) - next;

		if (length > 0 && next[length - 1] == '\r')
			length--;
		if (length > 0)
			postrider_exchange_show_line(out, next, length);
		appendStringInfoChar(out, '\n');
		next = stop ? stop + 1 : end;
		if (length == 0 && !(end - next > 5 && strncmp(next, "HTTP/", 5) == 0))
			break;				/* the body begins, and no further response */
	}
	show_text(out, next, end - next);
	if (lost > 0)
		appendStringInfo(out, "\n... and %zu bytes more", lost);
}
