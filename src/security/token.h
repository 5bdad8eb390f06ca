/*-------------------------------------------------------------------------
 *
 * token.h
 *	  What the kinds of OAuth 2.0 tokens have in common: for token*.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TOKEN_H
#define POSTRIDER_TOKEN_H

#include "postgres.h"

#include "security/credential.h"
#include "security/jwt.h"
#include "security/options.h"

/* How the client says who it is (RFC 6749 section 2.3, RFC 7523). */
typedef enum ClientAuthentication
{
	CLIENT_SECRET_BASIC,
	CLIENT_SECRET_POST,
	CLIENT_PRIVATE_KEY_JWT
} ClientAuthentication;

typedef struct TokenClient
{
	/* of all */
	char	   *token_url;
	char	   *scope;			/* separated by blanks; or NULL */
	char	   *audience;		/* or NULL */
	char	   *token_field;	/* of the answer: "access_token" */
	int			lifetime_s;		/* if the answer does not say; 0: the default */
	Jsonb	   *parameters;		/* an object: further parameters; or NULL */
	char	   *client_id;		/* or NULL */
	char	   *client_secret;	/* name of the secret; or NULL */
	ClientAuthentication authentication;

	/* of refresh_token */
	char	   *refresh_token;	/* name of the secret */

	/* of assertions */
	char	   *key;			/* name of the secret */
	JwtAlgorithm algorithm;
	char	   *key_id;			/* these four: or NULL */
	char	   *issuer;
	char	   *subject;
	char	   *assertion_audience;
	int			assertion_lifetime_s;
	Jsonb	   *claims;			/* an object: further claims; or NULL */
} TokenClient;

/* Reads what is common, and with these keys of its own checks that there are no others. */
extern TokenClient *postrider_token_compile(CredentialSpec *spec, Options *options,
											const char *const *own_keys);

/* At the end of compile(): hands over what was found. */
extern bool postrider_token_finish(CredentialSpec *spec, Options *options, TokenClient *client,
								   List **urls, const char **problem, const char **hint);

/* How the client authenticates. */
extern void postrider_token_read_client(Options *options, TokenClient *client);

/* Key, algorithm and claims of an assertion. */
extern void postrider_token_read_key(Options *options, TokenClient *client);

/* A request for the token: the form as it is begun, and the client's authentication. */
extern void postrider_token_begin(CredentialRequest *request, StringInfo form,
								  const char *grant_type);
extern void postrider_token_add(StringInfo form, const char *name, const char *value);
extern CredentialState postrider_token_end(const TokenClient *client, TimestampTz now,
										   CredentialRequest *request, StringInfo form,
										   const char **problem);

/* The value of a secret, without white space at its ends; hidden in errors. */
extern CredentialState postrider_token_secret(const char *name, TimestampTz now,
											  CredentialRequest *request, char **value,
											  const char **problem);

/* A signed assertion; what the client does not say may be in the secret (token_key.c). */
extern CredentialState postrider_token_assertion(const TokenClient *client,
												 const char *issuer, const char *subject,
												 TimestampTz now, CredentialRequest *request,
												 char **assertion, const char **problem);

/* Reads an answer (token_answer.c); *document is it as jsonb, or NULL. */
extern void postrider_token_read(const TokenClient *client, const CredentialAnswer *answer,
								 CredentialResult *result, Jsonb **document);

/* JSON from outside, NULL if it is no object; a palloc'd string of it, or NULL. */
extern Jsonb *postrider_token_json(const char *bytes);
extern char *postrider_token_json_text(const Jsonb *document, const char *key);

#endif							/* POSTRIDER_TOKEN_H */
