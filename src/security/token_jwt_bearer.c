/*-------------------------------------------------------------------------
 *
 * token_jwt_bearer.c
 *	  OAuth 2.0 JWT bearer: RFC 7523, as service accounts have it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/credential_kind.h"
#include "security/token.h"

static const char *const keys[] = {
	"issuer", "subject", "key", "algorithm", "key_id", "assertion_audience",
	"assertion_lifetime", "claims", "client_id", "client_secret", "client_authentication", NULL
};

static bool
compile(CredentialSpec *spec, List **urls, const char **problem, const char **hint)
{
	Options		options;
	TokenClient *client = postrider_token_compile(spec, &options, keys);

	postrider_token_read_client(&options, client);
	postrider_token_read_key(&options, client);
	client->issuer = postrider_options_text(&options, "issuer", NULL);
	client->subject = postrider_options_text(&options, "subject", NULL);
	if (client->authentication == CLIENT_PRIVATE_KEY_JWT)
		(void) postrider_options_refuse(&options, NULL,
										"has a \"client_authentication\" that goes with client credentials only");

	/* Of an assertion, the audience is the token server, whatever it calls itself. */
	if (client->assertion_audience == NULL)
		client->assertion_audience = client->audience;
	return postrider_token_finish(spec, &options, client, urls, problem, hint);
}

static CredentialState
request_token(const CredentialSpec *spec, TimestampTz now, CredentialRequest *request,
			  const char **problem, TimestampTz *retry_at)
{
	const TokenClient *client = spec->data;
	StringInfoData form;
	char	   *assertion;
	CredentialState state = postrider_token_assertion(client, client->issuer, client->subject,
													  now, request, &assertion, problem);

	if (state != CREDENTIAL_READY)
		return state;
	postrider_token_begin(request, &form, "urn:ietf:params:oauth:grant-type:jwt-bearer");
	postrider_token_add(&form, "assertion", assertion);
	postrider_token_add(&form, "scope", client->scope);
	return postrider_token_end(client, now, request, &form, problem);
}

static void
read_token(const CredentialSpec *spec, const CredentialAnswer *answer, CredentialResult *result)
{
	Jsonb	   *document;

	postrider_token_read(spec->data, answer, result, &document);
}

const CredentialKind postrider_token_jwt_bearer = {
	.name = "jwt_bearer",
	.noun = "token server",
	.error_code = "token",
	.compile = compile,
	.request = request_token,
	.read = read_token
};
