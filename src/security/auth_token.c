/*-------------------------------------------------------------------------
 *
 * auth_token.c
 *	  Tokens that are fetched: {"type": "oauth2_client_credentials", "token_url": ...},
 *	  oauth2_refresh_token and jwt_bearer, as Authorization: Bearer, or as "header" and
 *	  "prefix" say.
 *
 * All else in the object describes the credential (credential.h): endpoints that differ
 * only in header and prefix share a token.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/auth_scheme.h"
#include "security/credential.h"

#define COMMON_KEYS \
	"type", "header", "prefix", "token_url", "scope", "audience", "ca_certificate", \
	"token_field", "lifetime", "parameters", "client_id", "client_secret", \
	"client_authentication"

#define ASSERTION_KEYS \
	"key", "algorithm", "key_id", "assertion_audience", "assertion_lifetime", "claims"

typedef struct Token
{
	char	   *header;
	char	   *prefix;			/* with the space at its end */
	CredentialSpec *spec;
} Token;

static Token *
compile(Options *options, const char *kind)
{
	Token	   *token = palloc0(sizeof(Token));
	const char *problem;
	const char *hint;

	token->header = postrider_options_text(options, "header", "Authorization");
	token->prefix = postrider_options_text(options, "prefix", "Bearer ");
	(void) postrider_options_check_header(options, token->header);
	token->spec = postrider_credential_compile(kind, postrider_options_copy(options->object),
											   &options->urls, &problem, &hint);
	if (token->spec == NULL)
		(void) postrider_options_refuse(options, hint, "%s", problem);
	else
	{
		options->fetch_secrets = list_concat(options->fetch_secrets, token->spec->secrets);
		if (token->spec->ca_certificate != NULL)
			options->certificates = lappend(options->certificates,
											unconstify(char *, token->spec->ca_certificate));
	}
	return token;
}

static void *
compile_client_credentials(Options *options)
{
	return compile(options, "oauth2_client_credentials");
}

static void *
compile_refresh_token(Options *options)
{
	return compile(options, "oauth2_refresh_token");
}

static void *
compile_jwt_bearer(Options *options)
{
	return compile(options, "jwt_bearer");
}

static AuthState
ready(void *state, TimestampTz now, const char **problem, const char **error_code,
	  TimestampTz *retry_at)
{
	const Token *token = state;
	CredentialValue value;

	switch (postrider_credential_get(token->spec, now, &value, problem, retry_at))
	{
		case CREDENTIAL_READY:
			return AUTH_READY;
		case CREDENTIAL_WAITING:
			return AUTH_WAITING;
		case CREDENTIAL_FAILED:
			break;
	}
	*error_code = token->spec->kind->error_code;
	return AUTH_FAILED;
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	const Token *token = state;
	CredentialValue value;
	TimestampTz retry_at;

	switch (postrider_credential_get(token->spec, request->now, &value, problem, &retry_at))
	{
		case CREDENTIAL_READY:
			break;
		case CREDENTIAL_WAITING:
			*problem = psprintf("its token is being fetched from the %s %s",
								token->spec->kind->noun, token->spec->server);
			return false;
		case CREDENTIAL_FAILED:
			return false;
	}
	postrider_auth_hide(request, pstrdup(value.value));
	postrider_auth_set_header(request, token->header,
							  psprintf("%s%s", token->prefix, value.value));
	return true;
}

static bool
rejected(void *state, TimestampTz sent_at, bool doubted)
{
	const Token *token = state;

	return postrider_credential_rejected(token->spec, sent_at, doubted) !=
		CREDENTIAL_REJECTED_AGAIN;
}

static const char *const client_credentials_keys[] = {COMMON_KEYS, ASSERTION_KEYS, NULL};
static const char *const refresh_token_keys[] = {COMMON_KEYS, "refresh_token", NULL};
static const char *const jwt_bearer_keys[] = {
	COMMON_KEYS, ASSERTION_KEYS, "issuer", "subject", NULL
};

#define TOKEN_SCHEME(name, its_keys, its_compile) \
	{.type = name,.stage = AUTH_STAGE_ADD,.keys = its_keys,.compile = its_compile, \
	.ready = ready,.apply = apply,.rejected = rejected}

const AuthScheme postrider_auth_client_credentials =
TOKEN_SCHEME("oauth2_client_credentials", client_credentials_keys, compile_client_credentials);

const AuthScheme postrider_auth_refresh_token =
TOKEN_SCHEME("oauth2_refresh_token", refresh_token_keys, compile_refresh_token);

const AuthScheme postrider_auth_jwt_bearer =
TOKEN_SCHEME("jwt_bearer", jwt_bearer_keys, compile_jwt_bearer);
