/*-------------------------------------------------------------------------
 *
 * store_vault.c
 *	  HashiCorp Vault: KV version 2 (and 1), with AppRole or a token.
 *
 * With AppRole there are two credentials: the token, shared by all sources that log in
 * alike, and the value that is asked for with it.  A token is renewed as long as Vault
 * lets it be, because a secret_id may be good for a few logins only; a login gives the
 * next.  Its credential's value is "r" (renewable) or "-" and the token.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "security/store.h"
#include "utils/json.h"
#include "utils/timestamp.h"

static bool check_vault(const SecretSource *source, const char **problem, const char **hint);
static char *vault_place(const SecretSource *source);
static char *token_place(const SecretSource *source);
static List *vault_urls(const SecretSource *source);

static const SourceMember members[] = {
	{"url", SOURCE_URL, true},
	{"path", SOURCE_TEXT, true},
	{"mount", SOURCE_TEXT, false},
	{"field", SOURCE_TEXT, true},
	{"version", SOURCE_NUMBER, false},
	{"namespace", SOURCE_TEXT, false},
	{"ca_certificate", SOURCE_CERTIFICATES, false},
	{"role_id", SOURCE_TEXT, false},
	{"secret_id", SOURCE_SECRET, false},
	{"auth_mount", SOURCE_TEXT, false},
	{"token", SOURCE_SECRET, false},
	{NULL}
};

/* Of a document of our own making. */
static const SourceMember token_members[] = {
	{"url", SOURCE_URL, true},
	{"namespace", SOURCE_TEXT, false},
	{"ca_certificate", SOURCE_CERTIFICATES, false},
	{"role_id", SOURCE_TEXT, true},
	{"secret_id", SOURCE_SECRET, true},
	{"auth_mount", SOURCE_TEXT, false},
	{NULL}
};

static const SourceKind token_source = {
	.name = "vault_token",
	.refresh_ms = 1000,
	.members = token_members,
	.place = token_place,
	.urls = vault_urls
};

const SourceKind postrider_source_vault = {
	.name = "vault",
	.title = "Vault",
	.refresh_ms = 5 * 60 * INT64CONST(1000),
	.members = members,
	.check = check_vault,
	.place = vault_place,
	.urls = vault_urls
};

/* A path as Vault has it: no empty segment, none that leads elsewhere. */
static bool
is_plain_path(const char *path)
{
	while (true)
	{
		Size		length = strcspn(path, "/");

		if (length == 0 || (length == 1 && path[0] == '.') ||
			(length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[length] == '\0')
			return true;
		path += length + 1;
	}
}

static bool
check_vault(const SecretSource *source, const char **problem, const char **hint)
{
	static const char *const paths[] = {"path", "mount", "auth_mount"};
	bool		has_role = postrider_source_value(source, "role_id") != NULL;
	bool		has_secret = postrider_source_value(source, "secret_id") != NULL;
	bool		has_token = postrider_source_value(source, "token") != NULL;

	for (int i = 0; i < (int) lengthof(paths); i++)
	{
		const char *path = postrider_source_value(source, paths[i]);

		if (path != NULL && !is_plain_path(path))
		{
			*problem = psprintf("has a \"%s\" that is no path of Vault", paths[i]);
			*hint = "Write it without / at its ends, such as secret/data/crm.";
			return false;
		}
	}
	*hint = "Give \"role_id\" and \"secret_id\", or \"token\"; the last two are names of secrets.";
	if (has_token && (has_role || has_secret))
		*problem = "has both \"token\" and AppRole";
	else if (!has_token && !has_role && !has_secret)
		*problem = "has nothing to authenticate with";
	else if (has_role != has_secret)
		*problem = psprintf("has no \"%s\"", has_role ? "secret_id" : "role_id");
	else
	{
		*hint = NULL;
		return true;
	}
	return false;
}

static char *
vault_url(const SecretSource *source, const char *path)
{
	return psprintf("%s/v1/%s", postrider_source_base(postrider_source_value(source, "url")),
					path);
}

/* With a mount the path is that within the mount. */
static char *
vault_place(const SecretSource *source)
{
	char	   *path = postrider_source_encode(postrider_source_value(source, "path"), true);
	const char *mount = postrider_source_value(source, "mount");

	if (mount != NULL)
		path = psprintf("%s/data/%s", postrider_source_encode(mount, true), path);
	return vault_url(source, path);
}

static List *
vault_urls(const SecretSource *source)
{
	return list_make1(unconstify(char *, postrider_source_value(source, "url")));
}

static void
begin_request(const SecretSource *source, const char *method, const char *url,
			  CredentialRequest *request)
{
	const char *namespace = postrider_source_value(source, "namespace");

	request->method = method;
	request->url = url;
	postrider_store_header(request, "X-Vault-Request", "true");
	if (namespace != NULL)
		postrider_store_header(request, "X-Vault-Namespace", namespace);
}

/* What a status means that is none of success. */
static void
fail_with_status(int status, StoreAnswer *answer)
{
	switch (status)
	{
		case 404:
			postrider_store_fail(answer, true, "answered with status 404: there is nothing at this path");
			break;
		case 429:
			postrider_store_fail(answer, false, "answered with status 429: it has too much to do, or is on standby");
			break;
		case 503:
			postrider_store_fail(answer, false, "answered with status 503: it is sealed, or in maintenance");
			break;
		default:
			postrider_store_fail(answer, status < 500, psprintf("answered with status %d", status));
			break;
	}
}

/*
 * The token
 */

static char *
token_place(const SecretSource *source)
{
	const char *mount = postrider_source_or(source, "auth_mount", "approle");

	return vault_url(source, psprintf("auth/%s/login", postrider_source_encode(mount, true)));
}

static bool
compile_token(CredentialSpec *spec, List **urls, const char **problem, const char **hint)
{
	return postrider_store_compile_kind(&token_source, spec, urls, problem, hint);
}

static bool
is_renewal(const CredentialValue *old, TimestampTz now)
{
	return old != NULL && old->value[0] == 'r' && old->expires_at > now;
}

static CredentialState
request_token(const CredentialSpec *spec, TimestampTz now, CredentialRequest *request,
			  const char **problem, TimestampTz *retry_at)
{
	static const char *const names[] = {"secret_id"};
	const SecretSource *source = spec->data;
	const char *secret_id;
	CredentialState state;
	StringInfoData body;

	if (is_renewal(request->old, now))
	{
		const char *token = pstrdup(request->old->value + 1);

		begin_request(source, "POST", vault_url(source, "auth/token/renew-self"), request);
		postrider_store_header(request, "Content-Type", "application/json");
		postrider_store_header(request, "X-Vault-Token", token);
		request->hidden = lappend(request->hidden, unconstify(char *, token));
		request->body = "{}";
		request->body_length = 2;
		return CREDENTIAL_READY;
	}
	state = postrider_store_secrets(source, now, names, &secret_id, 1, request, problem);
	if (state != CREDENTIAL_READY)
		return state;
	begin_request(source, "POST", spec->server, request);
	postrider_store_header(request, "Content-Type", "application/json");
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"role_id\":");
	escape_json(&body, postrider_source_value(source, "role_id"));
	appendStringInfoString(&body, ",\"secret_id\":");
	escape_json(&body, secret_id);
	appendStringInfoChar(&body, '}');
	request->body = body.data;
	request->body_length = body.len;
	return CREDENTIAL_READY;
}

/*
 * The token cannot be renewed any more, or not for as long as before: it is used as
 * long as it is good, and then a login gives another.
 */
static void
keep_token(const CredentialAnswer *answer, CredentialResult *result)
{
	result->value = pstrdup(answer->old->value);
	result->value[0] = '-';
	result->expires_at = answer->old->expires_at;
	result->renew_at = answer->now;
}

static void
take_token(const CredentialAnswer *answer, JsonbContainer *auth, CredentialResult *result)
{
	char	   *token = postrider_store_text(auth, "client_token");
	int64		lease_ms = postrider_store_number(auth, "lease_duration", 0) * 1000;
	bool		renewable = postrider_store_boolean(auth, "renewable", false);

	if (token == NULL || token[0] == '\0')
	{
		result->problem = pstrdup("sent no token");
		return;
	}

	/* Where the end of all renewals comes near, it gets shorter. */
	if (is_renewal(answer->old, answer->now) &&
		lease_ms < (answer->old->expires_at - answer->old->fetched_at) / 1000 * 9 / 10)
		renewable = false;
	result->value = psprintf("%c%s", renewable ? 'r' : '-', token);
	explicit_bzero(token, strlen(token));
	result->expires_at = lease_ms == 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(answer->now, lease_ms);
	result->renew_at = lease_ms == 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(answer->now, lease_ms / 2);
}

static void
read_token(const CredentialSpec *spec, const CredentialAnswer *answer,
		   CredentialResult *result)
{
	StoreAnswer failure = {0};
	Jsonb	   *document = NULL;
	JsonbContainer *auth = NULL;

	if (answer->status == 200)
		document = postrider_store_json(answer->body, answer->body_length);
	if (document != NULL)
		auth = postrider_store_object(&document->root, "auth");
	if (auth != NULL)
		take_token(answer, auth, result);
	else if (is_renewal(answer->old, answer->now) && answer->status < 500)
		keep_token(answer, result);
	else if (answer->status == 200)
		result->problem = pstrdup("sent no token");
	else
	{
		if (answer->status == 400 || answer->status == 403)
			postrider_store_fail(&failure, true,
								 psprintf("answered with status %d: it does not accept role_id and secret_id",
										  answer->status));
		else
			fail_with_status(answer->status, &failure);
		result->problem = pstrdup(failure.problem);
		result->lasting = failure.lasting;
	}
	if (document != NULL)
		postrider_store_wipe(document);
}

const CredentialKind postrider_store_vault_token = {
	.name = "store_vault_token",
	.noun = "Vault",
	.error_code = "secret",
	.compile = compile_token,
	.request = request_token,
	.read = read_token
};

/*
 * The value
 */

static bool
has_role(const SecretSource *source)
{
	return postrider_source_value(source, "role_id") != NULL;
}

/* The spec of the token that goes with a source: the same for all that log in alike. */
static CredentialSpec *
token_spec(const SecretSource *source, const char **problem)
{
	const SourcePair pairs[] = {
		{"url", postrider_source_value(source, "url")},
		{"namespace", postrider_source_value(source, "namespace")},
		{"ca_certificate", postrider_source_value(source, "ca_certificate")},
		{"role_id", postrider_source_value(source, "role_id")},
		{"secret_id", postrider_source_value(source, "secret_id")},
		{"auth_mount", postrider_source_value(source, "auth_mount")}
	};
	const char *hint;

	return postrider_credential_compile("store_vault_token",
										postrider_source_object(pairs, lengthof(pairs)),
										NULL, problem, &hint);
}

static CredentialState
find_token(const SecretSource *source, TimestampTz now, CredentialRequest *request,
		   const char **token, const char **problem, TimestampTz *retry_at)
{
	static const char *const names[] = {"token"};
	CredentialSpec *spec;
	CredentialValue value;
	CredentialState state;

	if (!has_role(source))
		return postrider_store_secrets(source, now, names, token, 1, request, problem);
	spec = token_spec(source, problem);
	if (spec == NULL)
		return CREDENTIAL_FAILED;
	state = postrider_credential_get(spec, now, &value, problem, retry_at);
	if (state == CREDENTIAL_READY)
	{
		*token = pstrdup(value.value + 1);
		request->hidden = lappend(request->hidden, unconstify(char *, *token));
	}
	return state;
}

static CredentialState
request_value(const CredentialSpec *spec, TimestampTz now, CredentialRequest *request,
			  const char **problem, TimestampTz *retry_at)
{
	const SecretSource *source = spec->data;
	const char *version = postrider_source_value(source, "version");
	const char *token = NULL;
	CredentialState state = find_token(source, now, request, &token, problem, retry_at);

	if (state != CREDENTIAL_READY)
		return state;
	begin_request(source, "GET", version == NULL ? spec->server :
				  psprintf("%s?version=%s", spec->server, version), request);
	postrider_store_header(request, "X-Vault-Token", token);
	return CREDENTIAL_READY;
}

/* KV version 2 has the fields below data.data, version 1 in data. */
static void
read_fields(const SecretSource *source, JsonbContainer *root, StoreAnswer *result)
{
	JsonbContainer *fields = postrider_store_object(root, "data");

	if (fields != NULL && postrider_store_object(fields, "metadata") != NULL)
	{
		fields = postrider_store_object(fields, "data");
		if (fields == NULL)
		{
			postrider_store_fail(result, true, "has deleted this version");
			return;
		}
	}
	if (fields == NULL)
	{
		postrider_store_fail(result, true, "sent no data");
		return;
	}
	result->lease_ms = postrider_store_number(root, "lease_duration", 0) * 1000;
	postrider_store_take_field(fields, postrider_source_value(source, "field"), result);
}

/* A token that is refused may have been revoked: another one is tried. */
static void
refuse_token(const SecretSource *source, TimestampTz sent_at, StoreAnswer *result,
			 CredentialResult *credential)
{
	const char *problem;
	CredentialSpec *spec = has_role(source) ? token_spec(source, &problem) : NULL;

	postrider_store_fail(result, true,
						 "answered with status 403: the token must not read this path, or is not good any more");
	credential->try_again = spec != NULL &&
		postrider_credential_rejected(spec, sent_at, false) != CREDENTIAL_REJECTED_AGAIN;
}

static void
read_value(const CredentialSpec *spec, const CredentialAnswer *answer,
		   CredentialResult *result)
{
	const SecretSource *source = spec->data;
	StoreAnswer store = {0};
	Jsonb	   *document = NULL;
	JsonbContainer *data;

	if (answer->status == 200 || answer->status == 404)
		document = postrider_store_json(answer->body, answer->body_length);
	data = document ? postrider_store_object(&document->root, "data") : NULL;

	if (answer->status == 403)
		refuse_token(source, answer->sent_at, &store, result);
	/* A deleted version is a 404 with its metadata. */
	else if (answer->status == 200 ||
			 (data != NULL && postrider_store_object(data, "metadata") != NULL))
	{
		if (document != NULL)
			read_fields(source, &document->root, &store);
		else
			postrider_store_fail(&store, false, "sent no JSON");
	}
	else
		fail_with_status(answer->status, &store);
	if (document != NULL)
		postrider_store_wipe(document);
	postrider_store_finish(source, &store, answer->now, answer->old, result);
}

const CredentialKind postrider_store_vault = {
	.name = "store_vault",
	.noun = "Vault",
	.error_code = "secret",
	.compile = postrider_store_compile,
	.request = request_value,
	.read = read_value
};
