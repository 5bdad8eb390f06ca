/*-------------------------------------------------------------------------
 *
 * trial.h
 *	  Requests that are no deliveries: postrider.send_test() and
 *	  postrider.preview().
 *
 * The backend of a user neither has the keys of secrets nor talks to the network.
 * So it starts a background worker for this one purpose, hands it the question in
 * a segment of shared memory, and gets the answer back there, as JSON.  That
 * worker loads the configuration as those that deliver do, makes the same
 * request, and ends.  No breaker, no limit and no table has to do with it, and if
 * it crashes, nobody else does... but the server, as with every process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TRIAL_H
#define POSTRIDER_TRIAL_H

#include "postgres.h"

typedef enum TrialKind
{
	TRIAL_SEND,					/* to one endpoint */
	TRIAL_PREVIEW				/* nothing is sent */
} TrialKind;

/* The question; texts are NULL or NUL-terminated. */
typedef struct TrialQuestion
{
	TrialKind	kind;
	const char *endpoint;		/* for TRIAL_SEND */
	const char *topic;
	const char *payload;		/* JSON */
	const char *key;
	const char *tenant;
	const char *headers;		/* JSON */
} TrialQuestion;

/* In that worker: the answer, JSON, palloc'd.  Raises errors. */
extern char *postrider_trial_run(const TrialQuestion *question);

#endif							/* POSTRIDER_TRIAL_H */
