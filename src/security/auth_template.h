/*-------------------------------------------------------------------------
 *
 * auth_template.h
 *	  Templates over a request, for signatures: "{{method}}\n{{path}}\n{{body}}".
 *
 * Places: method, url, scheme, host, path, query, query_sorted, body, body_hash (hex,
 * by the signature's algorithm), body_sha256, body_md5, body_sha256_base64,
 * body_md5_base64, timestamp, nonce, id (of the message), secret, secret:NAME
 * (another secret), header:NAME, and in what is sent: signature.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_AUTH_TEMPLATE_H
#define POSTRIDER_AUTH_TEMPLATE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "security/auth_scheme.h"
#include "security/digest.h"

typedef enum TemplatePlace
{
	PLACE_TEXT,					/* what stands between places */
	PLACE_METHOD,
	PLACE_URL,
	PLACE_SCHEME,
	PLACE_HOST,
	PLACE_PATH,
	PLACE_QUERY,
	PLACE_QUERY_SORTED,
	PLACE_BODY,
	PLACE_BODY_HASH,
	PLACE_BODY_SHA256,
	PLACE_BODY_SHA256_BASE64,
	PLACE_BODY_MD5,
	PLACE_BODY_MD5_BASE64,
	PLACE_TIMESTAMP,
	PLACE_NONCE,
	PLACE_ID,
	PLACE_SECRET,
	PLACE_SIGNATURE,
	PLACE_OTHER_SECRET,			/* argument: its name */
	PLACE_HEADER				/* argument: its name */
} TemplatePlace;

typedef enum KeyEncoding
{
	KEY_TEXT,					/* the bytes of the secret are the key */
	KEY_BASE64,
	KEY_HEX
} KeyEncoding;

typedef enum TimeFormat
{
	TIME_S,						/* Unix seconds */
	TIME_MS,
	TIME_ISO					/* 2026-11-28T19:15:01Z */
} TimeFormat;

/* What a request does not have. */
typedef struct TemplateValues
{
	DigestAlgorithm hash;
	const char *timestamp;
	const char *nonce;
	const char *secret;			/* the name of the one that signs */
	char	   *signature;
} TemplateValues;

typedef struct AuthTemplate AuthTemplate;

extern const OptionChoice postrider_key_encodings[];

/* "key" is what the template is of, for problems. */
extern AuthTemplate *postrider_auth_template_compile(Options *options, const char *key,
													 const char *source);
extern bool postrider_auth_template_has(const AuthTemplate *template, TemplatePlace place);

/* Initializes "out"; false with *problem if a secret cannot be read. */
extern bool postrider_auth_template_fill(const AuthTemplate *template, AuthRequest *request,
										 const TemplateValues *values, StringInfo out,
										 const char **problem);

extern char *postrider_auth_format_time(TimestampTz time, TimeFormat format);

/* Random bytes in hexadecimal; NULL if there are none. */
extern char *postrider_auth_make_nonce(int bytes);

/* The key of a secret; NULL with *problem. */
extern const char *postrider_auth_secret_key(const char *name, KeyEncoding encoding,
											 TimestampTz now, Size *length,
											 const char **problem);

/* The bytes of a value that is written so; NULL with *problem. */
extern const char *postrider_auth_decode_key(const char *name, KeyEncoding encoding,
											 const char *value, Size *length,
											 const char **problem);

#endif							/* POSTRIDER_AUTH_TEMPLATE_H */
