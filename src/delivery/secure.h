/*-------------------------------------------------------------------------
 *
 * secure.h
 *	  What authenticates and signs a request that is otherwise complete, put into
 *	  its curl handle; and what people must not see of it.
 *
 * Requests to endpoints without auth, and with no more than Standard Webhooks
 * signatures, pay nothing for this.  All that is made for one request is in its
 * secure_context, which is emptied, and what was secret in it wiped, when the request
 * is released.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECURE_H
#define POSTRIDER_SECURE_H

#include "postgres.h"

#include "delivery/request.h"
#include "security/auth.h"

/*
 * Are the credentials there that requests to the endpoint need?  As
 * postrider_auth_ready().
 */
extern AuthState postrider_secure_ready(const Endpoint *endpoint, TimestampTz now,
										const char **problem, const char **error_code,
										TimestampTz *retry_at);

/* For a handle that was reset: an authority of the endpoint's own. */
extern void postrider_secure_set_up(CURL *easy, const Endpoint *endpoint);

/* Does anything have to be added to requests to the endpoint? */
extern bool postrider_secure_concerns(const Endpoint *endpoint);

/*
 * Adds it; request->sent_headers and the body (NULL: none) are there.  Sets
 * request->sent_headers and request->sent_url anew.  False with error_code and error
 * of the delivery's result set.
 */
extern bool postrider_secure_apply(Request *request, Delivery *delivery, const char *body,
								   Size body_length, TimestampTz now);

/* Forgets what was made for a request. */
extern void postrider_secure_clear(Request *request);

/*
 * A copy of bytes with what is secret of the request replaced by "***"; secrets shorter
 * than "least" bytes are left.  Ends with NUL.
 */
extern char *postrider_secure_mask(const Request *request, const char *bytes, Size length,
								   Size least, Size *masked_length);

#endif							/* POSTRIDER_SECURE_H */
