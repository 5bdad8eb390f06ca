/*-------------------------------------------------------------------------
 *
 * token_client_credentials.c
 *	  OAuth 2.0 client credentials: RFC 6749 section 4.4.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/credential_kind.h"
#include "security/token.h"

static const char *const keys[] = {
	"client_id", "client_secret", "client_authentication", "key", "algorithm", "key_id",
	"assertion_audience", "assertion_lifetime", "claims", NULL
};

static bool
compile(CredentialSpec *spec, List **urls, const char **problem, const char **hint)
{
	Options		options;
	TokenClient *client = postrider_token_compile(spec, &options, keys);

	postrider_token_read_client(&options, client);
	if (client->client_id == NULL)
		(void) postrider_options_refuse(&options, NULL, "needs \"client_id\"");
	if (client->authentication == CLIENT_PRIVATE_KEY_JWT)
		postrider_token_read_key(&options, client);
	else if (client->client_secret == NULL)
		(void) postrider_options_refuse(&options, "It is the name of a secret: SELECT postrider.set_secret('name', '...');",
										"needs \"client_secret\"");
	return postrider_token_finish(spec, &options, client, urls, problem, hint);
}

static CredentialState
request_token(const CredentialSpec *spec, TimestampTz now, CredentialRequest *request,
			  const char **problem, TimestampTz *retry_at)
{
	const TokenClient *client = spec->data;
	StringInfoData form;

	postrider_token_begin(request, &form, "client_credentials");
	postrider_token_add(&form, "scope", client->scope);
	postrider_token_add(&form, "audience", client->audience);
	return postrider_token_end(client, now, request, &form, problem);
}

static void
read_token(const CredentialSpec *spec, const CredentialAnswer *answer, CredentialResult *result)
{
	Jsonb	   *document;

	postrider_token_read(spec->data, answer, result, &document);
}

const CredentialKind postrider_token_client_credentials = {
	.name = "oauth2_client_credentials",
	.noun = "token server",
	.error_code = "token",
	.compile = compile,
	.request = request_token,
	.read = read_token
};
