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
#include "delivery/connection.h"
#include "delivery/governor.h"
#include "model.h"
#include "security/signing.h"

/*
 * Response bytes that are kept for a reply, that a request keeps room for while it
 * is idle, and that are read at most.
 */
#define RESPONSE_REPLY_BYTES	(64 * 1024)
#define RESPONSE_IDLE_BYTES		1024
#define RESPONSE_MAX_BYTES		(1024 * 1024)
#define RESPONSE_HEADER_MAX_BYTES (64 * 1024)

/* For response headers that are looked at. */
#define KEPT_HEADER_BYTES 4096

/* webhook-id, -timestamp, -signature, traceparent, idempotency key */
#define REQUEST_OWN_HEADERS 5

typedef struct Request
{
	dlist_node	node;			/* in the lane's list of idle requests */
	CURL	   *easy;
	Endpoint   *endpoint;
	uint64		version;		/* of the endpoint when it was set up */
	Delivery   *delivery;		/* what it carries; NULL while idle */

	/* a batch: then "delivery" is the first of several (batch.h) */
	dlist_head	batch;			/* Deliveries in the order of their records */
	int			batch_count;	/* 0: no batch */
	Size		batch_bytes;	/* at most, of the body */
	pg_uuid_t	batch_id;
	char	   *batch_body;
	Size		batch_body_length;

	Permit		permit;			/* that it was sent with */
	bool		token_renewed;	/* it is tried again at once, with another token */
	Connection	connection;		/* what the guard says of it */

	/* what the response has brought */
	bool		response_cut;
	bool		headers_complete;
	ResponseHeaders headers;	/* those that are looked at ... */
	char		header_space[KEPT_HEADER_BYTES];	/* ... here */
	Size		header_bytes;
	Size		body_bytes;
	Size		kept_bytes;		/* of the body, its beginning ... */
	Size		kept_capacity;
	char	   *kept;			/* ... here; NULL if the capacity is 0 */
	char		curl_error[CURL_ERROR_SIZE];

	/*
	 * Headers.  curl only reads the list, so its nodes live here and are linked
	 * anew for every message: ours, then those of the endpoint, or, for a message
	 * with headers of its own, a list made for it.
	 */
	char		id[64];
	char		timestamp[48];
	char		signature[sizeof("webhook-signature: ") + SIGNING_STANDARD_SIZE];
	char	   *traceparent;
	char	   *idempotency_key;
	struct curl_slist own_headers[REQUEST_OWN_HEADERS];
	struct curl_slist *endpoint_headers;	/* made by curl_slist_append */
	const struct curl_slist *sent_headers;	/* all of them, of the current delivery */
	struct curl_slist *made_headers;	/* likewise, with those for this delivery */
	struct curl_slist *message_headers; /* likewise, with those of the message */

	/* what authenticates it (secure.h) */
	MemoryContext secure_context;	/* or NULL */
	const char *sent_url;		/* with credentials in it; NULL: the delivery's, or
								 * the endpoint's */
	List	   *secrets;		/* what people must not see, of char * */
} Request;

/* An idle request of the endpoint's, or a new one. */
extern Request *postrider_request_acquire(Endpoint *endpoint);

/* Returns it, empty, to the endpoint. */
extern void postrider_request_release(Request *request);

/* Frees all idle requests of an endpoint. */
extern void postrider_request_discard_idle(Endpoint *endpoint);

/*
 * Puts a delivery, or a batch that has been written and of which it is the first,
 * into the request: body, headers, signature.  Returns false,
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
