/*-------------------------------------------------------------------------
 *
 * side_request.h
 *	  Requests that are no deliveries: to token servers, and to stores of secrets.
 *
 * They run in the multi handle of whoever starts them, beside the deliveries, and count
 * for no lane.  Guard, verification of certificates and proxy are those of
 * connection.c; nothing is redirected; what is read and how long it takes is bounded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SIDE_REQUEST_H
#define POSTRIDER_SIDE_REQUEST_H

#include "postgres.h"

#include <curl/curl.h>

#include "security/credential.h"

/* Of an answer, at most: more is an error. */
#define SIDE_BODY_BYTES		(256 * 1024)
#define SIDE_HEADER_BYTES	(32 * 1024)

#define SIDE_TIMEOUT_MS		20000

typedef struct SideRequest SideRequest;

/* How it ended. */
typedef struct SideEnd
{
	char	   *problem;		/* palloc'd clause: there is no whole answer; or NULL */
	CredentialAnswer answer;	/* its strings belong to the side request */
} SideEnd;

/*
 * Copies what is asked.  "owner" is for the caller.  NULL with *problem, a palloc'd
 * clause, if it cannot be made.
 */
extern SideRequest *postrider_side_request_make(const CredentialRequest *request, void *owner,
												const char **problem);

/* Gives it to curl; with signals blocked. */
extern void postrider_side_request_start(SideRequest *side, CURLM *multi);

/* curl says that a handle has ended: true if it is that of a side request. */
extern bool postrider_side_request_end(CURL *easy, CURLcode code);

/* Requests under way. */
extern int	postrider_side_requests_running(void);

/* The next one that has ended, or NULL; the caller frees it. */
extern SideRequest *postrider_side_request_next(void);

extern void *postrider_side_request_owner(const SideRequest *side);
extern void postrider_side_request_read(SideRequest *side, SideEnd *end);

/* Takes out of a text what the request has said must not be seen; in place. */
extern void postrider_side_request_scrub(const SideRequest *side, char *string);

/* Wipes and frees it. */
extern void postrider_side_request_free(SideRequest *side);

#endif							/* POSTRIDER_SIDE_REQUEST_H */
