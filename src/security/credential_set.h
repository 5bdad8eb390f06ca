/*-------------------------------------------------------------------------
 *
 * credential_set.h
 *	  The credentials in a worker's memory: what worker/credentials.c and
 *	  delivery/ know of them behind the back of credential.h.
 *
 * A Credential goes from one phase to the next:
 *
 *	  RESTING -- somebody asks, and there is no good value --> WANTED
 *	  WANTED -- the lease is ours, the request is sent --> FETCHING
 *	  WANTED -- another worker has the lease --> WAITING, until it tells or its lease ends
 *	  FETCHING, WAITING -- a value or a failure --> RESTING
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CREDENTIAL_SET_H
#define POSTRIDER_CREDENTIAL_SET_H

#include "postgres.h"

#include "lib/ilist.h"
#include "policy/breaker.h"
#include "security/credential.h"

typedef enum CredentialPhase
{
	CREDENTIAL_PHASE_RESTING,
	CREDENTIAL_PHASE_WANTED,
	CREDENTIAL_PHASE_FETCHING,
	CREDENTIAL_PHASE_WAITING
} CredentialPhase;

typedef struct Credential
{
	char		id[CREDENTIAL_ID_SIZE]; /* hash key */
	MemoryContext context;		/* holds all below */
	CredentialSpec *spec;
	CredentialPhase phase;
	TimestampTz look_at;		/* of WAITING: when the lease of the other ends */
	TimestampTz asked_at;

	/* the value */
	char	   *value;			/* NULL: none */
	Size		length;
	uint64		number;
	TimestampTz taken_at;		/* since when this process uses it */
	TimestampTz fetched_at;
	TimestampTz renew_at;		/* from here on whoever asks has it renewed */
	TimestampTz good_until;		/* a moment before it expires */
	TimestampTz expires_at;
	bool		after_rejection;	/* fetched because the one before was rejected */

	/* of the one that was thrown away */
	TimestampTz rejected_at;	/* it was fetched then; 0: none */

	/* the last failure */
	char	   *problem;		/* NULL: none since the last success */
	TimestampTz retry_at;
	char	   *inputs;			/* versions of the secrets at that time; or NULL */

	int64		revision;		/* of its row; 0: nothing is known of one */
	bool		tried_again;	/* after a try_again */
	struct Credential *waits_for;	/* what it needs itself; or NULL */

	/* while the lease is ours */
	BreakerState breaker;
	int			failures;		/* in a row */
	bool		is_probe;
	bool		replaces_rejected;	/* what is fetched does */
	TimestampTz sent_at;
} Credential;

/* The credential of a spec, made if there is none. */
extern Credential *postrider_credential_of(const CredentialSpec *spec);

/* All of them, in the current memory context. */
extern List *postrider_credentials_all(void);

/* Is any WANTED? */
extern bool postrider_credentials_wanted(void);

/* Takes a value; it is copied.  A failure before it is forgotten. */
extern void postrider_credential_set_value(Credential *credential, const char *value,
										   Size length);

/* Takes a failure: a sentence without anything secret, or NULL: none. */
extern void postrider_credential_set_problem(Credential *credential, const char *problem,
											 TimestampTz retry_at);

/* Wipes the value. */
extern void postrider_credential_forget_value(Credential *credential);

/*
 * The kind's request, as CREDENTIAL_READY, with circles found.  WAITING, FAILED: as of
 * what it needs.
 */
extern CredentialState postrider_credential_request(Credential *credential, TimestampTz now,
													CredentialRequest *request,
													CredentialValue *old,
													const char **problem,
													TimestampTz *retry_at);

/* Fills in what kinds see as the old value; NULL if there is none. */
extern CredentialValue *postrider_credential_old(const Credential *credential,
												 CredentialValue *old);

/* Sets all times by fetched_at and what the result says; random is in [0, 1). */
extern void postrider_credential_set_times(Credential *credential,
										   const CredentialResult *result, double random);

/* The secrets that it needs, with their versions: "crm:3,key:1"; palloc'd. */
extern char *postrider_credential_inputs(const Credential *credential, TimestampTz now);

/* Wipes and frees those that nobody has asked for in a long time. */
extern void postrider_credentials_purge(TimestampTz now);

/* The wall clock was set. */
extern void postrider_credentials_shift(int64 microseconds);

#endif							/* POSTRIDER_CREDENTIAL_SET_H */
