/*-------------------------------------------------------------------------
 *
 * request.h
 *	  One HTTP request: a curl easy handle that is set up for an endpoint and
 *	  used again and again for its deliveries.
 *
 * No function here that curl calls back may allocate from PostgreSQL or raise
 * an error: a longjmp across curl's frames would leave it broken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_REQUEST_H
#define POSTRIDER_REQUEST_H

#include "postgres.h"

#include <curl/curl.h>

#include "content/rate_header.h"
#include "delivery/classify.h"
#include "delivery/governor.h"
#include "model.h"
#include "security/signature.h"

/* Response bytes that are kept for the record, and that are read at most. */
#define RESPONSE_EXCERPT_BYTES	1024
#define RESPONSE_MAX_BYTES		(1024 * 1024)
#define RESPONSE_HEADER_MAX_BYTES (64 * 1024)

/* For headers that are looked at. */
#define KEPT_HEADER_BYTES 4096

/* webhook-id, -timestamp, -signature, traceparent */
#define REQUEST_OWN_HEADERS 4

typedef struct Request
{
	dlist_node	node;			/* in the lane's list of idle requests */
	CURL	   *easy;
	Endpoint   *endpoint;
	uint64		version;		/* of the endpoint when it was set up */
	Delivery   *delivery;		/* what it carries; NULL while idle */
	Permit		permit;			/* that it was sent with */

	/* what the response has brought */
	bool		address_refused;
	bool		response_cut;
	bool		headers_complete;
	Size		header_bytes;
	Size		body_bytes;
	ResponseHeaders headers;	/* those that are looked at, ... */
	char		header_space[KEPT_HEADER_BYTES];	/* ... mostly here */
	char	   *body;			/* more of it, for response rules; by malloc() */
	int			body_length;
	int			body_size;
	int			excerpt_length;
	char		excerpt[RESPONSE_EXCERPT_BYTES];
	char		curl_error[CURL_ERROR_SIZE];

	/*
	 * Headers.  curl only reads the list, so its nodes live here and are linked
	 * anew for every message: ours, then those of the endpoint, or, for a message
	 * with headers of its own, a list made for it.
	 */
	char		id[64];
	char		timestamp[48];
	char		signature[sizeof("webhook-signature: ") + POSTRIDER_SIGNATURE_SIZE];
	char	   *traceparent;
	struct curl_slist own_headers[REQUEST_OWN_HEADERS];
	struct curl_slist *endpoint_headers;	/* made by curl_slist_append */
	struct curl_slist *message_headers; /* likewise, for this message */
} Request;

/* An idle request of the endpoint's, or a new one. */
extern Request *postrider_request_acquire(Endpoint *endpoint);

/* Returns it, empty, to the endpoint. */
extern void postrider_request_release(Request *request);

/* Frees all idle requests of an endpoint. */
extern void postrider_request_discard_idle(Endpoint *endpoint);

/*
 * Puts a delivery into the request: body, headers, signature.  Returns false,
 * with error_code and error of the delivery's result set, if that cannot be
 * done now.
 */
extern bool postrider_request_fill(Request *request, Delivery *delivery,
								   TimestampTz now);

/* Reads how the request ended, and what the receiver says about its limits. */
extern void postrider_request_end(Request *request, CURLcode code, TimestampTz now,
								  RequestEnd *end, RateHint *hint,
								  float *duration_ms);

#endif							/* POSTRIDER_REQUEST_H */
