/*-------------------------------------------------------------------------
 *
 * aws_sigv4.h
 *	  AWS Signature Version 4, in headers: a pure function.
 *
 * The canonical request, by the documentation of AWS: method, path (each segment
 * percent-encoded once more, but not for S3), query (sorted by name, then value,
 * both decoded and encoded again), headers (lower case, trimmed, sorted), their
 * names, and the SHA-256 of the body.  The key is derived for day, region and
 * service.  test/t/032_aws_sigv4.pl compares it with @smithy/signature-v4.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_AWS_SIGV4_H
#define POSTRIDER_AWS_SIGV4_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct AwsHeader
{
	const char *name;
	const char *value;
} AwsHeader;

typedef struct AwsRequest
{
	const char *method;
	const char *host;			/* as in the Host header, with a port if it has one */
	const char *path;			/* as sent: "/", "/a%20b" */
	const char *query;			/* as sent, without "?"; "" or NULL: none */
	int			header_count;	/* further headers to sign, such as content-type; not
								 * host, and none that begins with x-amz-date ... */
	const AwsHeader *headers;
	const char *body;
	Size		body_length;
	TimestampTz now;
	const char *region;
	const char *service;
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;	/* or NULL */
} AwsRequest;

/* What goes on the request; palloc'd; NULL: not needed. */
typedef struct AwsSignature
{
	char	   *authorization;	/* Authorization */
	char	   *date;			/* X-Amz-Date */
	char	   *security_token; /* X-Amz-Security-Token: the session token */
	char	   *content_sha256; /* X-Amz-Content-Sha256: for S3 only */
} AwsSignature;

/* False if OpenSSL fails; no error is raised, except for memory. */
extern bool postrider_aws_sign(const AwsRequest *request, AwsSignature *signature);

#endif							/* POSTRIDER_AWS_SIGV4_H */
