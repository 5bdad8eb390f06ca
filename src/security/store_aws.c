/*-------------------------------------------------------------------------
 *
 * store_aws.c
 *	  AWS Secrets Manager: GetSecretValue, signed with Signature Version 4.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "security/aws_sigv4.h"
#include "security/store.h"
#include "utils/json.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"
#define TARGET "secretsmanager.GetSecretValue"

static bool check_aws(const SecretSource *source, const char **problem, const char **hint);
static char *aws_place(const SecretSource *source);
static List *aws_urls(const SecretSource *source);

static const SourceMember members[] = {
	{"region", SOURCE_TEXT, true},
	{"secret_id", SOURCE_TEXT, true},
	{"field", SOURCE_TEXT, false},
	{"version_stage", SOURCE_TEXT, false},
	{"version_id", SOURCE_TEXT, false},
	{"access_key_id", SOURCE_TEXT, true},
	{"secret_access_key", SOURCE_SECRET, true},
	{"session_token", SOURCE_SECRET, false},
	{"url", SOURCE_URL, false},
	{"ca_certificate", SOURCE_CERTIFICATES, false},
	{NULL}
};

const SourceKind postrider_source_aws = {
	.name = "aws",
	.title = "AWS Secrets Manager",
	.refresh_ms = 5 * 60 * INT64CONST(1000),
	.members = members,
	.check = check_aws,
	.place = aws_place,
	.urls = aws_urls
};

/* What is written where an identifier should be is not shown: it may be the key itself. */
static bool
check_aws(const SecretSource *source, const char **problem, const char **hint)
{
	const char *region = postrider_source_value(source, "region");
	const char *key = postrider_source_value(source, "access_key_id");

	*hint = NULL;
	if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
	{
		*problem = "has a \"region\" that is none";
		*hint = "Write it as in eu-central-1.";
		return false;
	}
	if (strlen(key) > 128 || strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(key))
	{
		*problem = "has an \"access_key_id\" that is none";
		*hint = "Write the id of the key, as in AKIAIOSFODNN7EXAMPLE; the key itself is the secret that \"secret_access_key\" names.";
		return false;
	}
	return true;
}

/* Without a slash at its end. */
static char *
aws_url(const SecretSource *source)
{
	const char *region = postrider_source_value(source, "region");
	const char *url = postrider_source_value(source, "url");

	if (url != NULL)
		return postrider_source_base(url);
	return psprintf("https://secretsmanager.%s.amazonaws.com%s", region,
					strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static char *
aws_place(const SecretSource *source)
{
	return aws_url(source);
}

static List *
aws_urls(const SecretSource *source)
{
	return list_make1(aws_url(source));
}

static void
add_text(StringInfo body, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(body, "%c\"%s\":", body->len == 0 ? '{' : ',', name);
	escape_json(body, value);
}

static void
write_body(const SecretSource *source, StringInfo body)
{
	initStringInfo(body);
	add_text(body, "SecretId", postrider_source_value(source, "secret_id"));
	add_text(body, "VersionId", postrider_source_value(source, "version_id"));
	add_text(body, "VersionStage", postrider_source_value(source, "version_stage"));
	appendStringInfoChar(body, '}');
}

static bool
sign(const SecretSource *source, TimestampTz now, const char *secret_access_key,
	 const char *session_token, CredentialRequest *request)
{
	const AwsHeader headers[] = {
		{"content-type", CONTENT_TYPE},
		{"x-amz-target", TARGET}
	};
	const char *authority = strstr(request->url, "://") + 3;
	Size		host_length = strcspn(authority, "/");
	AwsSignature signature;
	AwsRequest	aws = {
		.method = request->method,
		.host = pnstrdup(authority, host_length),
		.path = authority + host_length,
		.header_count = lengthof(headers),
		.headers = headers,
		.body = request->body,
		.body_length = request->body_length,
		.now = now,
		.region = postrider_source_value(source, "region"),
		.service = "secretsmanager",
		.access_key_id = postrider_source_value(source, "access_key_id"),
		.secret_access_key = secret_access_key,
		.session_token = session_token
	};

	if (!postrider_aws_sign(&aws, &signature))
		return false;
	postrider_store_header(request, "Content-Type", CONTENT_TYPE);
	postrider_store_header(request, "X-Amz-Target", TARGET);
	postrider_store_header(request, "X-Amz-Date", signature.date);
	if (signature.security_token != NULL)
		postrider_store_header(request, "X-Amz-Security-Token", signature.security_token);
	if (signature.content_sha256 != NULL)
		postrider_store_header(request, "X-Amz-Content-Sha256", signature.content_sha256);
	postrider_store_header(request, "Authorization", signature.authorization);
	return true;
}

static CredentialState
request_value(const CredentialSpec *spec, TimestampTz now, CredentialRequest *request,
			  const char **problem, TimestampTz *retry_at)
{
	static const char *const names[] = {"secret_access_key", "session_token"};
	const SecretSource *source = spec->data;
	const char *values[2];
	StringInfoData body;
	CredentialState state = postrider_store_secrets(source, now, names, values, 2, request,
													problem);

	if (state != CREDENTIAL_READY)
		return state;
	write_body(source, &body);
	request->method = "POST";
	request->url = psprintf("%s/", aws_url(source));
	request->body = body.data;
	request->body_length = body.len;
	if (sign(source, now, values[0], values[1], request))
		return CREDENTIAL_READY;
	*problem = "the request could not be signed";
	return CREDENTIAL_FAILED;
}

/* SecretBinary: bytes in base64, which are the value if they are text. */
static char *
decode_binary(char *encoded)
{
	int			size = pg_b64_dec_len((int) strlen(encoded));
	char	   *decoded = palloc0(size + 1);
	int			length = pg_b64_decode(encoded, (int) strlen(encoded), (void *) decoded, size);

	explicit_bzero(encoded, strlen(encoded));
	if (length >= 0 && strlen(decoded) == (Size) length &&
		pg_verify_mbstr(GetDatabaseEncoding(), decoded, length, true))
		return decoded;
	explicit_bzero(decoded, size);
	return NULL;
}

static void
read_secret(const SecretSource *source, JsonbContainer *root, StoreAnswer *answer)
{
	const char *field = postrider_source_value(source, "field");
	char	   *string = postrider_store_text(root, "SecretString");
	char	   *binary = string ? NULL : postrider_store_text(root, "SecretBinary");

	if (string == NULL && binary == NULL)
		postrider_store_fail(answer, true, "sent no secret");
	else
		postrider_store_take(string ? string : decode_binary(binary), field, answer);
}

/* The name of an error, without what may stand before it; NULL if it is none. */
static const char *
error_name(JsonbContainer *root)
{
	char	   *type = postrider_store_text(root, "__type");
	char	   *hash = type ? strrchr(type, '#') : NULL;
	char	   *name = hash ? hash + 1 : type;

	if (name == NULL || name[0] == '\0' || strlen(name) > 60 ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(name))
		return NULL;
	return name;
}

/* Errors that go away without anybody doing something. */
static bool
is_passing(int status, const char *name)
{
	static const char *const passing[] = {
		"ThrottlingException", "TooManyRequestsException", "InternalServiceError",
		"InternalFailure", "ServiceUnavailable", "RequestTimeout"
	};

	if (status >= 500 || status == 429)
		return true;
	for (int i = 0; name != NULL && i < (int) lengthof(passing); i++)
		if (strcmp(passing[i], name) == 0)
			return true;
	return false;
}

/* What it says besides the name may have parts of the request in it: not shown. */
static void
read_error(const SecretSource *source, int status, JsonbContainer *root, StoreAnswer *answer)
{
	const char *name = root ? error_name(root) : NULL;
	const char *secret = postrider_source_value(source, "secret_id");

	postrider_store_fail(answer, !is_passing(status, name),
						 name == NULL ? psprintf("answered with status %d for secret \"%s\"",
												 status, secret) :
						 psprintf("answered with status %d for secret \"%s\": %s", status,
								  secret, name));
}

static void
read_value(const CredentialSpec *spec, const CredentialAnswer *answer,
		   CredentialResult *result)
{
	const SecretSource *source = spec->data;
	StoreAnswer store = {0};
	Jsonb	   *document = postrider_store_json(answer->body, answer->body_length);

	if (answer->status != 200)
		read_error(source, answer->status, document ? &document->root : NULL, &store);
	else if (document == NULL)
		postrider_store_fail(&store, false, "sent no JSON");
	else
		read_secret(source, &document->root, &store);
	if (document != NULL)
		postrider_store_wipe(document);
	postrider_store_finish(source, &store, answer->now, answer->old, result);
}

const CredentialKind postrider_store_aws = {
	.name = "store_aws",
	.noun = "AWS Secrets Manager",
	.error_code = "secret",
	.compile = postrider_store_compile,
	.request = request_value,
	.read = read_value
};
