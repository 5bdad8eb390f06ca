/*-------------------------------------------------------------------------
 *
 * classify.h
 *	  What the end of a request means for the delivery: a pure function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CLASSIFY_H
#define POSTRIDER_CLASSIFY_H

#include "postgres.h"

#include <curl/curl.h>

#include "model.h"

/* How a request ended. */
typedef struct RequestEnd
{
	CURLcode	code;
	long		status;			/* 0: no status line arrived */
	bool		address_refused;	/* the guard refused to dial */
	const char *refusal;		/* why; NULL if it did not */
	const char *proxy;			/* that it went through; "" for none */
	bool		proxy_failed;	/* by what one can tell */
	long		proxy_status;	/* its answer to CONNECT, or 0 */
	bool		response_cut;	/* we stopped reading an endless response */
	bool		headers_complete;	/* the response's headers came to their end */
	const char *detail;			/* libcurl's words, or "" */
} RequestEnd;

/*
 * Sets outcome, status_code, error_code, error (palloc'd) and
 * disable_endpoint.  OUTCOME_RETRY means that the failure may pass; whether
 * there is another attempt is up to retry.h.
 */
extern void postrider_classify(const RequestEnd *end, AttemptResult *result);

/* Has an answer come, with all of its headers, that status and rules can be judged by? */
extern bool postrider_is_whole_answer(const RequestEnd *end);

/*
 * May the error of an attempt with this code quote the payload or the response?
 * True for all but those that are known not to.
 */
extern bool postrider_error_may_quote_data(const char *error_code);

/* What stands in its place for those who may not see payloads. */
#define ERROR_WITHHELD "withheld: it may quote data, which members of postrider_payload_reader see"

#endif							/* POSTRIDER_CLASSIFY_H */
