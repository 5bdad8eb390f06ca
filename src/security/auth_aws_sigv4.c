/*-------------------------------------------------------------------------
 *
 * auth_aws_sigv4.c
 *	  {"type": "aws_sigv4", "region": "eu-west-1", "service": "execute-api",
 *	  "access_key_id": "AKIA...", "secret_access_key": "aws"}
 *
 * secret_access_key and session_token are names of secrets; access_key_id may be in
 * one too, "access_key_id_secret".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/auth_scheme.h"
#include "security/aws_sigv4.h"

typedef struct AwsAuth
{
	char	   *region;
	char	   *service;
	char	   *access_key_id;	/* or NULL: */
	char	   *access_key_id_secret;
	char	   *secret_access_key;
	char	   *session_token;	/* or NULL */
} AwsAuth;

static const char *const keys[] = {
	"type", "region", "service", "access_key_id", "access_key_id_secret", "secret_access_key",
	"session_token", NULL
};

/* Region and service are part of a path-like scope. */
static void
check_word(Options *options, const char *key, const char *value)
{
	if (strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(value))
		(void) postrider_options_refuse(options, NULL, "has a \"%s\" that is not made of lower-case letters, digits and hyphens", key);
}

static void *
compile(Options *options)
{
	AwsAuth    *aws = palloc0(sizeof(AwsAuth));

	aws->region = postrider_options_required_text(options, "region");
	aws->service = postrider_options_required_text(options, "service");
	check_word(options, "region", aws->region);
	check_word(options, "service", aws->service);
	aws->access_key_id = postrider_options_text(options, "access_key_id", NULL);
	aws->access_key_id_secret = postrider_options_secret(options, "access_key_id_secret");
	aws->secret_access_key = postrider_options_required_secret(options, "secret_access_key");
	aws->session_token = postrider_options_secret(options, "session_token");
	if ((aws->access_key_id == NULL) == (aws->access_key_id_secret == NULL))
		(void) postrider_options_refuse(options, NULL,
										"needs either an \"access_key_id\" or an \"access_key_id_secret\"");
	if (aws->access_key_id &&
		strspn(aws->access_key_id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen(aws->access_key_id))
		(void) postrider_options_refuse(options, NULL, "has an \"access_key_id\" that is none");
	return aws;
}

static AwsHeader *
list_headers(const AuthRequest *request, int *count)
{
	AwsHeader  *headers = palloc(sizeof(AwsHeader) * (list_length(request->headers) + 1));
	ListCell   *cell;

	*count = 0;
	foreach(cell, request->headers)
	{
		const AuthHeader *header = lfirst(cell);

		headers[*count].name = header->name;
		headers[(*count)++].value = header->value;
	}
	return headers;
}

static bool
read_keys(const AwsAuth *aws, AuthRequest *request, AwsRequest *made, const char **problem)
{
	made->access_key_id = aws->access_key_id ? aws->access_key_id :
		postrider_auth_secret_line(request, aws->access_key_id_secret, problem);
	if (made->access_key_id == NULL)
		return false;
	made->secret_access_key = postrider_auth_secret_line(request, aws->secret_access_key, problem);
	if (made->secret_access_key == NULL)
		return false;
	if (aws->session_token)
		made->session_token = postrider_auth_secret_line(request, aws->session_token, problem);
	return aws->session_token == NULL || made->session_token != NULL;
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	const AwsAuth *aws = state;
	AwsRequest	made = {
		.method = request->method,
		.body = request->body,
		.body_length = request->body_length,
		.now = request->now,
		.region = aws->region,
		.service = aws->service
	};
	AwsSignature signature;
	AuthUrl		parts;

	if (!read_keys(aws, request, &made, problem))
		return false;
	postrider_auth_remove_header(request, "X-Amz-Security-Token");
	postrider_auth_remove_header(request, "X-Amz-Content-Sha256");
	postrider_auth_split_url(request->url, &parts);
	made.host = parts.host;
	made.path = parts.path;
	made.query = parts.query;
	made.headers = list_headers(request, &made.header_count);
	if (!postrider_aws_sign(&made, &signature))
	{
		*problem = pstrdup("the request could not be signed");
		return false;
	}
	postrider_auth_set_header(request, "X-Amz-Date", signature.date);
	if (signature.security_token)
		postrider_auth_set_header(request, "X-Amz-Security-Token", signature.security_token);
	if (signature.content_sha256)
		postrider_auth_set_header(request, "X-Amz-Content-Sha256", signature.content_sha256);
	postrider_auth_set_header(request, "Authorization", signature.authorization);
	return true;
}

const AuthScheme postrider_auth_aws_sigv4 = {
	.type = "aws_sigv4",
	.stage = AUTH_STAGE_SIGN,
	.keys = keys,
	.compile = compile,
	.apply = apply
};
