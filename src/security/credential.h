/*-------------------------------------------------------------------------
 *
 * credential.h
 *	  Credentials: what is fetched, mostly over the network, and good for some time.
 *	  An access token of an OAuth 2.0 token server; the value of a secret from a store.
 *
 * A kind of credential says, as a table of pure operations, what to ask whom and how
 * to read the answer: security/token_*.c, security/store_*.c.  Nothing in a kind may
 * touch network or tables; worker/credentials.c does that for all kinds alike.
 *
 * A CredentialSpec is a description, checked and compiled: made by whoever has the
 * jsonb, in a trigger as in a worker, and as cheap to throw away as to make.  What the
 * worker knows of it (value, failures) is kept by its id, which is a hash of kind and
 * description.  So endpoints with the same description share one token, and a spec
 * that is compiled again finds it.
 *
 * Asking is what makes things happen: postrider_credential_get() notes that a value is
 * wanted, or is to be renewed because most of its life is over, and the worker fetches
 * it when it next comes around.  What nobody asks for is never renewed, so an idle
 * endpoint costs nothing.
 *
 * A kind may need secrets (postrider_secret_find) and other credentials
 * (postrider_credential_get on a spec that it has compiled for itself): its request()
 * passes on what they say, and is called again when they are there.  Circles are
 * found by the mechanism.
 *
 * A value is stored encrypted in postrider.credential, so that all workers, restarts
 * and send_test share it; not so that of a kind which is read locally.
 *
 * Nothing here raises an error, except for memory.  What says that something is wrong
 * never has a secret in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CREDENTIAL_H
#define POSTRIDER_CREDENTIAL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* 64 hexadecimal digits of SHA-256, and NUL */
#define CREDENTIAL_ID_SIZE 65

/* Of a value, at most; it has no NUL in it. */
#define CREDENTIAL_MAX_BYTES (64 * 1024)

/* Life of a value of which nobody says how long it is good. */
#define CREDENTIAL_DEFAULT_LIFE_MS (60 * 60 * INT64CONST(1000))

typedef struct CredentialKind CredentialKind;

typedef struct CredentialSpec
{
	const CredentialKind *kind;
	char		id[CREDENTIAL_ID_SIZE];
	Jsonb	   *document;		/* what was compiled, without the keys of auth */

	/* filled in by the kind's compile() */
	char	   *server;			/* for people: whom it asks; a URL without user info and
								 * query, "file \"/run/secrets/x\"", ... */
	List	   *secrets;		/* names of the secrets it needs itself, of char * */
	const char *ca_certificate; /* PEM: trusted in place of the system's; or NULL.  Where a
								 * row is written postrider_certificate_problem() looks
								 * at it */
	void	   *data;			/* the kind's own */
} CredentialSpec;

typedef enum CredentialState
{
	CREDENTIAL_READY,
	CREDENTIAL_WAITING,			/* it is being fetched: ask again when told */
	CREDENTIAL_FAILED
} CredentialState;

typedef struct CredentialValue
{
	const char *value;			/* NUL-terminated; belongs to the mechanism, valid until
								 * the worker comes around: copy it to keep it */
	Size		length;
	uint64		number;			/* of this value in this process: changes with it */
	TimestampTz fetched_at;
	TimestampTz expires_at;		/* DT_NOEND: never */
} CredentialValue;

/* A request that a kind wants made; all is allocated in CurrentMemoryContext. */
typedef struct CredentialHeader
{
	const char *name;
	const char *value;
} CredentialHeader;

typedef struct CredentialRequest
{
	const char *method;			/* "GET", "POST", ... */
	const char *url;			/* checked by the guard when it is dialled */
	List	   *headers;		/* of CredentialHeader * */
	const char *body;			/* NULL: none */
	Size		body_length;
	List	   *hidden;			/* of const char *: what must not be seen if the server
								 * sends it back in an error */

	/* set before: what there is now, good or of age; NULL: nothing, or thrown away */
	const CredentialValue *old;
	const char *ca_certificate; /* ... and that of the spec */
} CredentialRequest;

/* What the server has answered; no redirects are followed. */
typedef struct CredentialAnswer
{
	int			status;
	const char *headers;		/* all lines as they came, NUL-terminated */
	const char *body;			/* NUL-terminated */
	Size		body_length;
	TimestampTz now;
	TimestampTz sent_at;		/* of the request */
	const CredentialValue *old; /* as in the request */
} CredentialAnswer;

/*
 * What a kind makes of it; zeroed before.  Either "value", or "problem".  Strings are
 * allocated in CurrentMemoryContext.
 */
typedef struct CredentialResult
{
	char	   *value;
	TimestampTz expires_at;		/* 0: nothing is said of it, which means
								 * CREDENTIAL_DEFAULT_LIFE_MS; DT_NOEND: it lasts */
	TimestampTz renew_at;		/* when to ask again, though it is good for longer (a store
								 * may have a newer one); 0: when most of its life is over */
	const char *rotated_secret; /* name of a secret that has a new value now, ... */
	char	   *rotated_value;	/* ... which is stored before "value" is used; or NULL */

	char	   *problem;		/* a clause that goes behind "SERVER ": "answered with status
								 * 400: invalid_client" */
	bool		lasting;		/* a person must act: asked again more rarely, but at once
								 * when one of the secrets is changed */
	bool		try_again;		/* another credential was thrown away because of the answer
								 * (postrider_credential_rejected): ask again, once */
} CredentialResult;

struct CredentialKind
{
	const char *name;			/* "oauth2_client_credentials", "vault_kv" */
	const char *noun;			/* whom it asks, for people: "token server", "Vault" */
	const char *error_code;		/* of attempts that wait in vain: "token", "secret" */

	/*
	 * Compiles spec->document (an object) into server, secrets and data, allocated in
	 * CurrentMemoryContext.  Must refuse keys that it does not know.  False with
	 * *problem, a palloc'd clause ("needs \"token_url\""), and *hint, a sentence or
	 * NULL.  Appends the URLs that it may ask to *urls (of char *): where a row is
	 * written, postrider_guard_require_url() looks at them.
	 */
	bool		(*compile) (CredentialSpec *spec, List **urls,
							const char **problem, const char **hint);

	/*
	 * Makes the request, with the secrets of now.  WAITING and FAILED (with *problem, a
	 * palloc'd clause, and *retry_at, 0 if unknown) are those of what it needs itself.
	 * NULL for a kind that is read locally.
	 */
	CredentialState (*request) (const CredentialSpec *spec, TimestampTz now,
								CredentialRequest *request, const char **problem,
								TimestampTz *retry_at);

	/* Reads the answer, whatever its status. */
	void		(*read) (const CredentialSpec *spec, const CredentialAnswer *answer,
						 CredentialResult *result);

	/*
	 * In place of both: reads it, quickly and without network, when somebody asks and
	 * the last value has come of age.  renew_at says when to look again, and expires_at
	 * how long the value is good if that fails.
	 */
	void		(*read_locally) (const CredentialSpec *spec, TimestampTz now,
								 const CredentialValue *old,
								 CredentialResult *result);
};

/*
 * Compiles a description for the kind of that name, in CurrentMemoryContext.  NULL with
 * *problem, a palloc'd clause, and *hint, which may be NULL.  The keys "type",
 * "header" and "prefix" are those of auth, and left out.  urls may be NULL: see
 * compile().
 */
extern CredentialSpec *postrider_credential_compile(const char *kind, Jsonb *document,
													List **urls, const char **problem,
													const char **hint);

/* Is there a kind of that name? */
extern bool postrider_credential_kind_exists(const char *kind);

/*
 * The value.  READY: *value.  WAITING: it is fetched, and then
 * postrider_engine_credentials_changed() tells lanes.  FAILED: *problem, a palloc'd
 * sentence that names the server, and *retry_at, before which asking is in vain; the
 * error code is that of the kind.  An old value is READY as long as it is good, however
 * often its renewal has failed.
 */
extern CredentialState postrider_credential_get(const CredentialSpec *spec, TimestampTz now,
												CredentialValue *value, const char **problem,
												TimestampTz *retry_at);

typedef enum CredentialRejection
{
	CREDENTIAL_REPLACED,		/* the request had an older value: try with the new one */
	CREDENTIAL_THROWN_AWAY,		/* a new one is fetched */
	CREDENTIAL_REJECTED_AGAIN	/* the value was itself fetched because one was rejected */
} CredentialRejection;

/*
 * Whoever was shown the value, in a request made at sent_at, says that it is not good.
 * "doubted": this is so also of the one before, and none has been taken since.  With
 * REJECTED_AGAIN, which needs that, the value stays.
 */
extern CredentialRejection postrider_credential_rejected(const CredentialSpec *spec,
														 TimestampTz sent_at, bool doubted);

/*
 * A request made at sent_at with the value was refused, but the value may be right: asks
 * again, as if renew_at had come, and at most every few seconds.  Unlike above the value is
 * used until there is another.
 */
extern void postrider_credential_doubted(const CredentialSpec *spec, TimestampTz sent_at);

#endif							/* POSTRIDER_CREDENTIAL_H */
