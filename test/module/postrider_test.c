/*-------------------------------------------------------------------------
 *
 * postrider_test.c
 *	  Functions for the regression tests; not a part of the extension.
 *
 * The code under test is linked in a second time, with settings of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/envelope.h"
#include "content/header.h"
#include "fmgr.h"
#include "guc.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "security/guard.h"
#include "security/key_file.h"
#include "security/secret.h"
#include "security/signature.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

PG_FUNCTION_INFO_V1(test_envelope);
PG_FUNCTION_INFO_V1(test_headers);
PG_FUNCTION_INFO_V1(test_address);
PG_FUNCTION_INFO_V1(test_url);
PG_FUNCTION_INFO_V1(test_networks);
PG_FUNCTION_INFO_V1(test_sign);
PG_FUNCTION_INFO_V1(test_signing_key);
PG_FUNCTION_INFO_V1(test_key_file);
PG_FUNCTION_INFO_V1(test_encrypt);
PG_FUNCTION_INFO_V1(test_decrypt);
PG_FUNCTION_INFO_V1(test_microseconds);

/* Stands in for the setting of src/guc.c. */
char	   *postrider_key_file = NULL;
char	   *postrider_secret_directories = "";
char	   *postrider_secret_environment = "";
char	   *postrider_key_command = NULL;

/* Called by a worker with the topic of every message that it handles. */
static void
fail_on_message(const char *topic)
{
	if (strcmp(topic, "test.crash") == 0)
		raise(SIGSEGV);
	if (strcmp(topic, "test.error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("fault for a test")));
}

/* Where the library is preloaded, messages can bring down the worker. */
void
_PG_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		*find_rendezvous_variable("postrider_message_hook") = fail_on_message;
}

static text *
result_text(const char *string)
{
	return cstring_to_text(string);
}

/* test_envelope(topic text, id uuid, payload jsonb) returns text */
Datum
test_envelope(PG_FUNCTION_ARGS)
{
	StringInfoData body;

	initStringInfo(&body);
	postrider_envelope_build(&body, text_to_cstring(PG_GETARG_TEXT_PP(0)),
							 PG_GETARG_UUID_P(1), PG_GETARG_JSONB_P(2));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(body.data, body.len));
}

/*
 * test_headers(headers jsonb, require boolean) returns text: what unpacking
 * leaves, a line for each header
 */
Datum
test_headers(PG_FUNCTION_ARGS)
{
	Jsonb	   *headers = PG_GETARG_JSONB_P(0);
	Header	   *unpacked;
	int			count;
	StringInfoData lines;

	if (PG_GETARG_BOOL(1))
		postrider_headers_require(headers);
	initStringInfo(&lines);
	count = postrider_headers_unpack(headers, &unpacked);
	for (int i = 0; i < count; i++)
		appendStringInfo(&lines, "%s%s: %s", i ? "\n" : "", unpacked[i].name,
						 unpacked[i].value);
	PG_RETURN_TEXT_P(result_text(lines.data));
}

/* test_address(address text) returns text: the reason to refuse it, or NULL */
Datum
test_address(PG_FUNCTION_ARGS)
{
	char	   *string = text_to_cstring(PG_GETARG_TEXT_PP(0));
	struct sockaddr_in ipv4 = {.sin_family = AF_INET};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
	struct sockaddr local = {.sa_family = AF_UNIX};
	struct sockaddr *address;
	const char *refusal;

	if (inet_pton(AF_INET, string, &ipv4.sin_addr) == 1)
		address = (struct sockaddr *) &ipv4;
	else if (inet_pton(AF_INET6, string, &ipv6.sin6_addr) == 1)
		address = (struct sockaddr *) &ipv6;
	else if (strcmp(string, "unix") == 0)
		address = &local;
	else
		elog(ERROR, "\"%s\" is no address", string);

	refusal = postrider_guard_refusal(address);
	if (postrider_guard_allows_address(address) != (refusal == NULL))
		elog(ERROR, "the functions of the guard disagree");
	if (refusal == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result_text(refusal));
}

/* test_url(url text) returns void: raises the error if it is refused */
Datum
test_url(PG_FUNCTION_ARGS)
{
	postrider_guard_require_url(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/*
 * test_networks(networks text) returns text: sets allowed_networks for this
 * session; returns why it was refused, or NULL
 */
Datum
test_networks(PG_FUNCTION_ARGS)
{
	char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(0));
	void	   *extra = NULL;

	GUC_check_errdetail_string = NULL;
	GUC_check_errhint_string = NULL;
	if (!postrider_guard_check_networks(&value, &extra, PGC_S_SESSION))
	{
		if (GUC_check_errhint_string == NULL)
			elog(ERROR, "no hint");
		PG_RETURN_TEXT_P(result_text(GUC_check_errdetail_string));
	}
	postrider_guard_assign_networks(value, extra);
	PG_RETURN_NULL();
}

/* test_sign(key bytea, id text, timestamp bigint, body text) returns text */
Datum
test_sign(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	text	   *body = PG_GETARG_TEXT_PP(3);
	char		result[POSTRIDER_SIGNATURE_SIZE];

	if (!postrider_signature_v1((unsigned char *) VARDATA_ANY(key),
								VARSIZE_ANY_EXHDR(key),
								text_to_cstring(PG_GETARG_TEXT_PP(1)),
								PG_GETARG_INT64(2),
								VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body),
								result))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result_text(result));
}

/* test_signing_key(value text) returns bytea; a NOTICE says why there is none */
Datum
test_signing_key(PG_FUNCTION_ARGS)
{
	char	   *reason = NULL;
	Size		length;
	unsigned char *key;
	bytea	   *result;

	key = postrider_secret_signing_key(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									   &length, &reason);
	if (key == NULL)
	{
		elog(NOTICE, "%s", reason);
		PG_RETURN_NULL();
	}
	result = palloc(VARHDRSZ + length);
	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), key, length);
	PG_RETURN_BYTEA_P(result);
}

/*
 * test_key_file(name text, content text, mode text) returns text: uses this key
 * file from now on.  With a content, makes the file anew with this content and
 * octal mode.  Returns the mode of the file, or NULL if there is none.
 */
Datum
test_key_file(PG_FUNCTION_ARGS)
{
	struct stat status;
	char	   *path;

	postrider_key_file = strdup(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	path = postrider_key_file_path();
	if (!PG_ARGISNULL(1))
	{
		char	   *content = text_to_cstring(PG_GETARG_TEXT_PP(1));
		mode_t		mode = strtol(text_to_cstring(PG_GETARG_TEXT_PP(2)), NULL, 8);
		FILE	   *file;

		(void) unlink(path);
		file = fopen(path, "w");
		if (file == NULL || fputs(content, file) == EOF || fclose(file) != 0 ||
			chmod(path, mode) != 0)
			elog(ERROR, "could not write \"%s\": %m", path);
	}
	if (stat(path, &status) != 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result_text(psprintf("%o", status.st_mode & 07777)));
}

/* test_encrypt(name text, value text) returns bytea */
Datum
test_encrypt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(postrider_secret_encrypt(text_to_cstring(PG_GETARG_TEXT_PP(0)),
											   text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* test_decrypt(name text, ciphertext bytea) returns text; a NOTICE if it fails */
Datum
test_decrypt(PG_FUNCTION_ARGS)
{
	char	   *reason = NULL;
	char	   *value = postrider_secret_decrypt(text_to_cstring(PG_GETARG_TEXT_PP(0)),
												 PG_GETARG_BYTEA_PP(1), &reason);

	if (value == NULL)
	{
		/* The name of the data directory is not the same everywhere. */
		char	   *path = strstr(reason, DataDir);

		if (path != NULL)
			memmove(path, path + strlen(DataDir) + 1,
					strlen(path + strlen(DataDir) + 1) + 1);
		elog(NOTICE, "%s", reason);
		PG_RETURN_NULL();
	}
	PG_RETURN_TEXT_P(result_text(value));
}

/*
 * test_microseconds(what text, payload jsonb, times integer) returns float8:
 * the mean time of building an envelope ('envelope') or signing it ('sign')
 */
Datum
test_microseconds(PG_FUNCTION_ARGS)
{
	char	   *what = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *payload = PG_GETARG_JSONB_P(1);
	int			times = PG_GETARG_INT32(2);
	pg_uuid_t	id = {{0x01, 0x93, 0x58, 0, 0, 0, 0x70}};
	unsigned char key[32] = {1};
	char		signature[POSTRIDER_SIGNATURE_SIZE];
	StringInfoData body;
	instr_time	start;
	instr_time	duration;

	initStringInfo(&body);
	postrider_envelope_build(&body, "order.paid", &id, payload);
	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < times; i++)
	{
		if (strcmp(what, "sign") == 0)
			(void) postrider_signature_v1(key, sizeof(key), "0193-58-00",
										  1614265330 + i, body.data, body.len,
										  signature);
		else
		{
			resetStringInfo(&body);
			postrider_envelope_build(&body, "order.paid", &id, payload);
		}
	}
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	PG_RETURN_FLOAT8(INSTR_TIME_GET_MICROSEC(duration) / (double) times);
}
