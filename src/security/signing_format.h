/*-------------------------------------------------------------------------
 *
 * signing_format.h
 *	  What formats of signatures are made of: for signing*.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SIGNING_FORMAT_H
#define POSTRIDER_SIGNING_FORMAT_H

#include "postgres.h"

#include "security/auth_template.h"
#include "security/ed25519.h"
#include "security/options.h"
#include "security/secret_set.h"
#include "security/signing.h"

/* So many versions of a secret sign at most. */
#define SIGNING_VERSIONS SECRET_MAX_VERSIONS

typedef enum SigningKeyKind
{
	SIGNING_KEY_STANDARD,		/* whsec_ or whsk_ */
	SIGNING_KEY_BYTES,			/* for an HMAC */
	SIGNING_KEY_ED25519
} SigningKeyKind;

/* A version of a secret, decoded. */
typedef struct SigningKeyVersion
{
	char	   *value;			/* that it was decoded from */
	const unsigned char *bytes; /* for an HMAC, or NULL: */
	Size		length;
	Ed25519Key *ed25519;
} SigningKeyVersion;

/* The keys that a secret holds, decoded once. */
typedef struct SigningKey
{
	char	   *secret;
	SigningKeyKind kind;
	KeyEncoding encoding;		/* of SIGNING_KEY_BYTES */
	MemoryContext context;
	int			count;
	SigningKeyVersion versions[SIGNING_VERSIONS];	/* newest first */
} SigningKey;

/* For a secret in the options; lives as long as CurrentMemoryContext. */
extern SigningKey *postrider_signing_key(Options *options, SigningKeyKind kind,
										 KeyEncoding encoding);
extern SigningKey *postrider_signing_key_of(char *secret, SigningKeyKind kind,
											KeyEncoding encoding);

/* Brings the versions up to date; false with *problem if there is none. */
extern bool postrider_signing_key_load(SigningKey *key, TimestampTz now,
									   const char **problem);

typedef struct SigningFormat
{
	const char *type;
	const char *const *keys;	/* that it knows, and "type"; ends with a NULL */
	void	   *(*compile) (Options *options);

	/* Called for all before any signs; NULL: nothing to do. */
	bool		(*prepare) (void *state, AuthRequest *request, const char **problem);
	bool		(*apply) (void *state, AuthRequest *request, const char **problem);

	/* What two of them must not have in common: a label, or a header. */
	const char *(*label) (const void *state);
} SigningFormat;

extern const SigningFormat postrider_signing_http;
extern const SigningFormat postrider_signing_github;
extern const SigningFormat postrider_signing_stripe;

#endif							/* POSTRIDER_SIGNING_FORMAT_H */
