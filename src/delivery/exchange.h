/*-------------------------------------------------------------------------
 *
 * exchange.h
 *	  What goes over the wire in one request, kept to be shown to people.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_EXCHANGE_H
#define POSTRIDER_EXCHANGE_H

#include "postgres.h"

#include <curl/curl.h>

#include "lib/stringinfo.h"

/* Of each direction, at most. */
#define EXCHANGE_BYTES (128 * 1024)

typedef struct ExchangeSide
{
	Size		length;
	Size		lost;			/* bytes that found no room */
	char		data[EXCHANGE_BYTES];
} ExchangeSide;

typedef struct Exchange
{
	ExchangeSide request;
	ExchangeSide response;
} Exchange;

/* Has curl write down what it sends and receives; *exchange must be zeroed. */
extern void postrider_exchange_record(CURL *easy, Exchange *exchange);

/*
 * Appends headers and body of a side, of which "lost" bytes found no room, with what by its
 * name is secret in header lines, and in the query of a request line, replaced by
 * "***".  What authentication has added is masked by its value before:
 * postrider_secure_mask().
 */
extern void postrider_exchange_show(StringInfo out, const char *bytes, Size size, Size lost);

/* The same for one header line. */
extern void postrider_exchange_show_line(StringInfo out, const char *line, Size length);

/* The same for a URL, or a request line. */
extern void postrider_exchange_show_url(StringInfo out, const char *url, Size length);

#endif							/* POSTRIDER_EXCHANGE_H */
