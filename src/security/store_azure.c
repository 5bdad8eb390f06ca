/*-------------------------------------------------------------------------
 *
 * store_azure.c
 *	  Azure Key Vault, with an access token of Microsoft Entra (OAuth 2.0 client
 *	  credentials): the same kind of credential that endpoints use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "security/store.h"
#include "utils/timestamp.h"

#define API_VERSION "7.4"
#define DEFAULT_AUTHORITY "https://login.microsoftonline.com"
#define DEFAULT_SCOPE "https://vault.azure.net/.default"
#define TOKEN_KIND "oauth2_client_credentials"

static bool check_azure(const SecretSource *source, const char **problem, const char **hint);
static char *azure_place(const SecretSource *source);
static List *azure_urls(const SecretSource *source);

static const SourceMember members[] = {
	{"vault_url", SOURCE_URL, true},
	{"name", SOURCE_TEXT, true},
	{"version", SOURCE_TEXT, false},
	{"field", SOURCE_TEXT, false},
	{"tenant_id", SOURCE_TEXT, true},
	{"client_id", SOURCE_TEXT, true},
	{"client_secret", SOURCE_SECRET, true},
	{"authority", SOURCE_URL, false},
	{"scope", SOURCE_TEXT, false},
	{"ca_certificate", SOURCE_CERTIFICATES, false},
	{NULL}
};

const SourceKind postrider_source_azure = {
	.name = "azure",
	.title = "Azure Key Vault",
	.refresh_ms = 5 * 60 * INT64CONST(1000),
	.members = members,
	.check = check_azure,
	.place = azure_place,
	.urls = azure_urls
};

static bool
check_azure(const SecretSource *source, const char **problem, const char **hint)
{
	const char *name = postrider_source_value(source, "name");
	const char *version = postrider_source_value(source, "version");

	*hint = NULL;
	if (strlen(name) > 127 ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != strlen(name))
	{
		*problem = "has a \"name\" that no secret in Azure can have";
		*hint = "Such names are made of letters, digits and hyphens.";
		return false;
	}
	if (version != NULL && strspn(version, "0123456789abcdef") != strlen(version))
	{
		*problem = "has a \"version\" that is none of Azure";
		*hint = "Leave it out for the newest, or write its 32 hexadecimal digits.";
		return false;
	}
	return true;
}

static char *
azure_place(const SecretSource *source)
{
	const char *version = postrider_source_value(source, "version");

	return psprintf("%s/secrets/%s%s%s",
					postrider_source_base(postrider_source_value(source, "vault_url")),
					postrider_source_value(source, "name"), version ? "/" : "",
					version ? version : "");
}

static char *
token_url(const SecretSource *source)
{
	return psprintf("%s/%s/oauth2/v2.0/token",
					postrider_source_base(postrider_source_or(source, "authority",
															  DEFAULT_AUTHORITY)),
					postrider_source_encode(postrider_source_value(source, "tenant_id"), false));
}

static List *
azure_urls(const SecretSource *source)
{
	return list_make2(unconstify(char *, postrider_source_value(source, "vault_url")),
					  token_url(source));
}

/* The token is shared with whatever else needs one that is asked for alike. */
static CredentialSpec *
token_spec(const SecretSource *source, const char **problem)
{
	const SourcePair pairs[] = {
		{"token_url", token_url(source)},
		{"client_id", postrider_source_value(source, "client_id")},
		{"client_secret", postrider_source_value(source, "client_secret")},
		{"client_authentication", "post"},
		{"scope", postrider_source_or(source, "scope", DEFAULT_SCOPE)},
		{"ca_certificate", postrider_source_value(source, "ca_certificate")}
	};
	const char *hint;

	return postrider_credential_compile(TOKEN_KIND,
										postrider_source_object(pairs, lengthof(pairs)),
										NULL, problem, &hint);
}

static CredentialState
request_value(const CredentialSpec *spec, TimestampTz now, CredentialRequest *request,
			  const char **problem, TimestampTz *retry_at)
{
	CredentialSpec *token = token_spec(spec->data, problem);
	CredentialValue value;
	CredentialState state;
	char	   *header;

	if (token == NULL)
		return CREDENTIAL_FAILED;
	state = postrider_credential_get(token, now, &value, problem, retry_at);
	if (state != CREDENTIAL_READY)
		return state;
	header = psprintf("Bearer %s", value.value);
	request->hidden = lappend(request->hidden, header + strlen("Bearer "));
	request->method = "GET";
	request->url = psprintf("%s?api-version=" API_VERSION, spec->server);
	postrider_store_header(request, "Accept", "application/json");
	postrider_store_header(request, "Authorization", header);
	return CREDENTIAL_READY;
}

/* Seconds since 1970. */
static TimestampTz
time_of(JsonbContainer *attributes, const char *name)
{
	int64		seconds = postrider_store_number(attributes, name, -1);

	return seconds < 0 ? 0 : time_t_to_timestamptz((pg_time_t) seconds);
}

/* Key Vault gives out what is not valid yet, or not any more; so we look. */
static void
read_secret(const SecretSource *source, JsonbContainer *root, TimestampTz now,
			StoreAnswer *answer)
{
	JsonbContainer *attributes = postrider_store_object(root, "attributes");
	char	   *value = postrider_store_text(root, "value");
	TimestampTz begins_at = attributes ? time_of(attributes, "nbf") : 0;

	answer->ends_at = attributes ? time_of(attributes, "exp") : 0;
	if (attributes != NULL && !postrider_store_boolean(attributes, "enabled", true))
		postrider_store_fail(answer, true, "has disabled the secret");
	else if (answer->ends_at != 0 && answer->ends_at <= now)
		postrider_store_fail(answer, true, psprintf("has a secret that expired at %s",
													timestamptz_to_str(answer->ends_at)));
	else if (begins_at > now)
		postrider_store_fail(answer, true, psprintf("has a secret that is not valid before %s",
													timestamptz_to_str(begins_at)));
	else if (value == NULL)
		postrider_store_fail(answer, true, "sent no secret");
	else
		postrider_store_take(value, postrider_source_value(source, "field"), answer);
}

/* The code of an error, and the inner one, which says more; NULL if there is none. */
static const char *
error_code(JsonbContainer *root)
{
	JsonbContainer *error = postrider_store_object(root, "error");
	JsonbContainer *inner = error ? postrider_store_object(error, "innererror") : NULL;
	char	   *code = inner ? postrider_store_text(inner, "code") : NULL;

	if (code == NULL && error != NULL)
		code = postrider_store_text(error, "code");
	if (code == NULL || code[0] == '\0' || strlen(code) > 60 ||
		strspn(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(code))
		return NULL;
	return code;
}

static void
read_error(int status, JsonbContainer *root, StoreAnswer *answer)
{
	const char *code = root ? error_code(root) : NULL;

	postrider_store_fail(answer, status < 500 && status != 429 && status != 408,
						 code == NULL ? psprintf("answered with status %d", status) :
						 psprintf("answered with status %d: %s", status, code));
}

static void
read_value(const CredentialSpec *spec, const CredentialAnswer *answer,
		   CredentialResult *result)
{
	const SecretSource *source = spec->data;
	StoreAnswer store = {0};
	Jsonb	   *document = postrider_store_json(answer->body, answer->body_length);

	if (answer->status == 200 && document != NULL)
		read_secret(source, &document->root, answer->now, &store);
	else if (answer->status == 200)
		postrider_store_fail(&store, false, "sent no JSON");
	else
		read_error(answer->status, document ? &document->root : NULL, &store);
	if (document != NULL)
		postrider_store_wipe(document);
	if (answer->status == 401)
	{
		const char *problem;
		CredentialSpec *token = token_spec(source, &problem);

		result->try_again = token != NULL &&
			postrider_credential_rejected(token, answer->sent_at, false) != CREDENTIAL_REJECTED_AGAIN;
	}
	postrider_store_finish(source, &store, answer->now, answer->old, result);
}

const CredentialKind postrider_store_azure = {
	.name = "store_azure",
	.noun = "Azure Key Vault",
	.error_code = "secret",
	.compile = postrider_store_compile,
	.request = request_value,
	.read = read_value
};
