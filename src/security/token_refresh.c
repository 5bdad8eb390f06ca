/*-------------------------------------------------------------------------
 *
 * token_refresh.c
 *	  OAuth 2.0 refresh tokens: RFC 6749 section 6.
 *
 * A server may replace the refresh token with each access token.  Then the new one
 * becomes the value of the secret, in the transaction that stores the access token:
 * worker/credentials.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/credential_kind.h"
#include "security/secret_set.h"
#include "security/token.h"

static const char *const keys[] = {
	"client_id", "client_secret", "client_authentication", "refresh_token", NULL
};

static bool
compile(CredentialSpec *spec, List **urls, const char **problem, const char **hint)
{
	Options		options;
	TokenClient *client = postrider_token_compile(spec, &options, keys);

	postrider_token_read_client(&options, client);
	client->refresh_token = postrider_options_required_secret(&options, "refresh_token");
	if (client->client_id == NULL)
		(void) postrider_options_refuse(&options, NULL, "needs \"client_id\"");
	if (client->authentication == CLIENT_PRIVATE_KEY_JWT)
		(void) postrider_options_refuse(&options, "Write basic or post, or leave \"client_secret\" out for a public client.",
										"has a \"client_authentication\" that goes with client credentials only");
	return postrider_token_finish(spec, &options, client, urls, problem, hint);
}

static CredentialState
request_token(const CredentialSpec *spec, TimestampTz now, CredentialRequest *request,
			  const char **problem, TimestampTz *retry_at)
{
	const TokenClient *client = spec->data;
	StringInfoData form;
	char	   *refresh_token;
	CredentialState state = postrider_token_secret(client->refresh_token, now, request,
												   &refresh_token, problem);

	if (state != CREDENTIAL_READY)
		return state;
	postrider_token_begin(request, &form, "refresh_token");
	postrider_token_add(&form, "refresh_token", refresh_token);
	postrider_token_add(&form, "scope", client->scope);
	postrider_token_add(&form, "audience", client->audience);
	return postrider_token_end(client, now, request, &form, problem);
}

static void
explain_grant(const TokenClient *client, const Jsonb *document, CredentialResult *result)
{
	char	   *error = document ? postrider_token_json_text(document, "error") : NULL;

	if (result->problem && error && strcmp(error, "invalid_grant") == 0)
		result->problem =
			psprintf("%s; the refresh token in secret \"%s\" has expired or was revoked: store a new one with postrider.set_secret()",
					 result->problem, client->refresh_token);
}

static void
read_token(const CredentialSpec *spec, const CredentialAnswer *answer, CredentialResult *result)
{
	const TokenClient *client = spec->data;
	Jsonb	   *document;
	char	   *refresh_token;
	char	   *old = NULL;
	CredentialRequest unused = {0};
	const char *problem;

	postrider_token_read(client, answer, result, &document);
	explain_grant(client, document, result);
	if (result->value == NULL)
		return;
	refresh_token = postrider_token_json_text(document, "refresh_token");
	if (refresh_token == NULL ||
		(postrider_token_secret(client->refresh_token, answer->now, &unused, &old,
								&problem) == CREDENTIAL_READY &&
		 strcmp(old, refresh_token) == 0))
		return;
	result->rotated_secret = client->refresh_token;
	result->rotated_value = refresh_token;
}

const CredentialKind postrider_token_refresh = {
	.name = "oauth2_refresh_token",
	.noun = "token server",
	.error_code = "token",
	.compile = compile,
	.request = request_token,
	.read = read_token
};
