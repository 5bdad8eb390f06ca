/*-------------------------------------------------------------------------
 *
 * conversion_code.c
 *	  Conversions between text and its encodings, and hashes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "content/contact.h"
#include "content/conversion_internal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "util/compat.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

/* Deeper than any document that a receiver could want. */
#define MAX_JSON_DEPTH 200

static const char hex_digits[] = "0123456789abcdef";
static const char base64_plain[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* What was decoded has to be text. */
static bool
set_decoded(JsonbValue *value, StringInfo string, char **problem)
{
	if (memchr(string->data, '\0', string->len) != NULL ||
		!pg_verify_mbstr(GetDatabaseEncoding(), string->data, string->len, true))
		return postrider_refuse(problem, "what is encoded is not text in the encoding %s",
								GetDatabaseEncodingName());
	postrider_value_set_string(value, string);
	return true;
}

/*
 * Hashes
 */

static const char *const algorithms[] = {
	"sha256", "sha512", "sha384", "sha224", "sha1", "md5", NULL
};
static const char *const hash_forms[] = {"hex", "base64", NULL};

static void
append_base64(StringInfo result, const unsigned char *bytes, int length,
			  const char *alphabet, bool padded)
{
	for (int i = 0; i < length; i += 3)
	{
		int			rest = Min(length - i, 3);
		uint32		group = bytes[i] << 16 | (rest > 1 ? bytes[i + 1] << 8 : 0) |
			(rest > 2 ? bytes[i + 2] : 0);

		for (int j = 0; j < 4; j++)
		{
			if (j <= rest)
				appendStringInfoCharMacro(result, alphabet[group >> (18 - 6 * j) & 63]);
			else if (padded)
				appendStringInfoCharMacro(result, '=');
		}
	}
}

static bool
digest(JsonbValue *value, const char *algorithm, bool as_base64, char **problem)
{
	const EVP_MD *type = EVP_get_digestbyname(algorithm);
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned int length;
	StringInfoData result;

	if (type == NULL || !EVP_Digest(value->val.string.val, value->val.string.len,
									bytes, &length, type, NULL))
	{
		ERR_clear_error();
		return postrider_refuse(problem, "the server's OpenSSL does not allow %s",
								algorithm);
	}
	initStringInfo(&result);
	if (as_base64)
		append_base64(&result, bytes, length, base64_plain, true);
	else
	{
		for (unsigned int i = 0; i < length; i++)
		{
			appendStringInfoCharMacro(&result, hex_digits[bytes[i] >> 4]);
			appendStringInfoCharMacro(&result, hex_digits[bytes[i] & 15]);
		}
	}
	postrider_value_set_string(value, &result);
	return true;
}

static bool
apply_hash(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *algorithm = &conversion->arguments[0];

	return digest(value, algorithms[algorithm->given ? algorithm->integer : 0],
				  conversion->arguments[1].integer == 1, problem);
}

char *
postrider_identifier_hash(const char *string, int length, char **problem)
{
	JsonbValue	value;

	string = postrider_identifier_clean(string, &length);
	postrider_value_set_text(&value, unconstify(char *, string), length);
	if (!digest(&value, "sha256", false, problem))
		return NULL;
	return value.val.string.val;
}

static bool
apply_hash_identifier(const Conversion *conversion, JsonbValue *value,
					  char **problem)
{
	char	   *hash = postrider_identifier_hash(value->val.string.val,
												 value->val.string.len, problem);

	if (hash == NULL)
		return false;
	postrider_value_set_text(value, hash, strlen(hash));
	return true;
}

/*
 * Base 64, hexadecimal
 */

static bool
apply_base64(const Conversion *conversion, JsonbValue *value, char **problem)
{
	bool		url = conversion->arguments[0].boolean;
	StringInfoData result;

	initStringInfo(&result);
	if (!postrider_room_for(&result, value->val.string.len / 3 * INT64CONST(4) + 4, problem))
		return false;
	append_base64(&result, (unsigned char *) value->val.string.val,
				  value->val.string.len, url ? base64_url : base64_plain, !url);
	postrider_value_set_string(value, &result);
	return true;
}

static int
base64_digit(char c)
{
	const char *found = strchr(base64_plain, c);

	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	return c == '\0' || found == NULL ? -1 : found - base64_plain;
}

/* Takes both alphabets, with and without padding, and line breaks. */
static bool
apply_base64_decode(const Conversion *conversion, JsonbValue *value,
					char **problem)
{
	uint32		group = 0;
	int			digits = 0;
	int			padding = 0;
	StringInfoData result;

	initStringInfo(&result);
	for (int i = 0; i < value->val.string.len; i++)
	{
		char		c = value->val.string.val[i];
		int			digit = base64_digit(c);

		if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
			continue;
		if (c == '=' && padding < 2)
		{
			padding++;
			continue;
		}
		if (digit < 0 || padding > 0)
			return postrider_refuse(problem, "%s is not base64: position %d",
									postrider_value_show(value), i + 1);
		group = group << 6 | digit;
		if (++digits % 4 == 0)
		{
			appendStringInfoCharMacro(&result, (char) (group >> 16));
			appendStringInfoCharMacro(&result, (char) (group >> 8));
			appendStringInfoCharMacro(&result, (char) group);
		}
	}
	if (digits % 4 == 1 || (padding > 0 && (digits + padding) % 4 != 0))
		return postrider_refuse(problem, "%s is not base64: it is cut off",
								postrider_value_show(value));
	if (digits % 4 >= 2)
		appendStringInfoCharMacro(&result, (char) (group >> (digits % 4 == 3 ? 10 : 4)));
	if (digits % 4 == 3)
		appendStringInfoCharMacro(&result, (char) (group >> 2));
	result.data[result.len] = '\0';
	return set_decoded(value, &result, problem);
}

static bool
apply_hex(const Conversion *conversion, JsonbValue *value, char **problem)
{
	StringInfoData result;

	initStringInfo(&result);
	if (!postrider_room_for(&result, value->val.string.len * INT64CONST(2), problem))
		return false;
	for (int i = 0; i < value->val.string.len; i++)
	{
		unsigned char c = value->val.string.val[i];

		appendStringInfoCharMacro(&result, hex_digits[c >> 4]);
		appendStringInfoCharMacro(&result, hex_digits[c & 15]);
	}
	postrider_value_set_string(value, &result);
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
apply_hex_decode(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const char *string = value->val.string.val;
	int			length = value->val.string.len;
	StringInfoData result;

	initStringInfo(&result);
	for (int i = 0; i < length; i += 2)
	{
		int			high = hex_digit(string[i]);
		int			low = i + 1 < length ? hex_digit(string[i + 1]) : -1;

		if (high < 0 || low < 0)
			return postrider_refuse(problem, "%s is not hexadecimal: position %d",
									postrider_value_show(value), i + 1);
		appendStringInfoCharMacro(&result, (char) (high << 4 | low));
	}
	return set_decoded(value, &result, problem);
}

/*
 * Addresses
 */

/* The unreserved characters of RFC 3986 stay; {"form": true}: space is "+". */
static bool
apply_url_encode(const Conversion *conversion, JsonbValue *value, char **problem)
{
	bool		form = conversion->arguments[0].boolean;
	StringInfoData result;

	initStringInfo(&result);
	for (int i = 0; i < value->val.string.len; i++)
	{
		unsigned char c = value->val.string.val[i];

		if (!postrider_room_for(&result, 3, problem))
			return false;
		if ((c < 0x80 && isalnum(c)) || (c != '\0' && strchr("-._~", c) != NULL))
			appendStringInfoCharMacro(&result, c);
		else if (form && c == ' ')
			appendStringInfoCharMacro(&result, '+');
		else
		{
			appendStringInfoCharMacro(&result, '%');
			appendStringInfoCharMacro(&result, pg_toupper(hex_digits[c >> 4]));
			appendStringInfoCharMacro(&result, pg_toupper(hex_digits[c & 15]));
		}
	}
	postrider_value_set_string(value, &result);
	return true;
}

static bool
apply_url_decode(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const char *string = value->val.string.val;
	int			length = value->val.string.len;
	bool		form = conversion->arguments[0].boolean;
	StringInfoData result;

	initStringInfo(&result);
	for (int i = 0; i < length; i++)
	{
		int			high = i + 2 < length ? hex_digit(string[i + 1]) : -1;
		int			low = i + 2 < length ? hex_digit(string[i + 2]) : -1;

		if (string[i] != '%')
			appendStringInfoCharMacro(&result, form && string[i] == '+' ? ' ' : string[i]);
		else if (high < 0 || low < 0)
			return postrider_refuse(problem, "%s has a \"%%\" without two hexadecimal digits at position %d",
									postrider_value_show(value), i + 1);
		else
		{
			appendStringInfoCharMacro(&result, (char) (high << 4 | low));
			i += 2;
		}
	}
	return set_decoded(value, &result, problem);
}

/*
 * JSON
 */

static bool
apply_json_encode(const Conversion *conversion, JsonbValue *value, char **problem)
{
	int			length;
	char	   *json = postrider_value_json(value, &length);

	if (length > CONVERSION_MAX_BYTES)
		return postrider_refuse(problem, "the result is longer than %d MB",
								CONVERSION_MAX_BYTES / (1024 * 1024));
	postrider_value_set_text(value, json, length);
	return true;
}

/* Brackets within texts are not counted. */
static bool
is_deeper(const char *json, int limit)
{
	int			depth = 0;
	bool		quoted = false;

	for (; *json != '\0'; json++)
	{
		if (quoted)
		{
			if (*json == '\\' && json[1] != '\0')
				json++;
			else if (*json == '"')
				quoted = false;
		}
		else if (*json == '"')
			quoted = true;
		else if ((*json == '[' || *json == '{') && ++depth > limit)
			return true;
		else if (*json == ']' || *json == '}')
			depth--;
	}
	return false;
}

/*
 * jsonb_in raises what is wrong with its input.  To catch that without a
 * subtransaction is sound because it is pure computation that holds no
 * resource; what is no error of the data goes on.
 */
static Jsonb *
parse_json(const char *json, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile result = NULL;

	PG_TRY();
	{
		result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	}
	PG_CATCH();
	{
		ErrorData  *error;
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		if (category != ERRCODE_DATA_EXCEPTION &&
			category != ERRCODE_FEATURE_NOT_SUPPORTED &&
			category != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		(void) postrider_refuse(problem, "invalid JSON: %s",
								error->detail != NULL ? error->detail : error->message);
	}
	PG_END_TRY();
	return result;
}

static bool
apply_json_decode(const Conversion *conversion, JsonbValue *value, char **problem)
{
	char	   *json = pnstrdup(value->val.string.val, value->val.string.len);
	Jsonb	   *jsonb;

	if (is_deeper(json, MAX_JSON_DEPTH))
		return postrider_refuse(problem, "invalid JSON: it is nested more than %d levels deep",
								MAX_JSON_DEPTH);
	jsonb = parse_json(json, problem);
	if (jsonb == NULL)
	{
		int			last = strlen(*problem) - 1;

		if (last >= 0 && (*problem)[last] == '.')
			(*problem)[last] = '\0';
		return false;
	}
	if (!JB_ROOT_IS_SCALAR(jsonb) || !JsonbExtractScalar(&jsonb->root, value))
	{
		value->type = jbvBinary;
		value->val.binary.data = &jsonb->root;
		value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	}
	return true;
}

const ConversionEntry postrider_code_conversions[] = {
	{"hash", INPUT_TEXT,
		.arguments = {{"algorithm", ARGUMENT_WORD, .words = algorithms},
			{"encoding", ARGUMENT_WORD, .words = hash_forms}},
		.apply = apply_hash,
		.description = "A hash of the text as it is: sha256 if nothing else is said, in hexadecimal digits",
	.example = "[\"ada@example.com\", {\"hash\": \"sha1\"}]"},
	{"hash_identifier", INPUT_TEXT, .apply = apply_hash_identifier,
		.description = "Trimmed, lower case, SHA-256 in hexadecimal digits, as ad platforms want identifiers",
	.example = "[\" Ada@Example.com \", \"hash_identifier\"]"},
	{"base64", INPUT_TEXT, .arguments = {{"url", ARGUMENT_BOOLEAN}},
		.apply = apply_base64,
		.description = "Base 64; with url true in the alphabet for addresses and without padding",
	.example = "[\"user:secret\", \"base64\"]"},
	{"base64_decode", INPUT_TEXT, .apply = apply_base64_decode,
		.description = "What base 64 of either alphabet stands for, if that is text",
	.example = "[\"dXNlcjpzZWNyZXQ=\", \"base64_decode\"]"},
	{"hex", INPUT_TEXT, .apply = apply_hex,
		.description = "The bytes in hexadecimal digits",
	.example = "[\"abc\", \"hex\"]"},
	{"hex_decode", INPUT_TEXT, .apply = apply_hex_decode,
		.description = "What hexadecimal digits stand for, if that is text",
	.example = "[\"616263\", \"hex_decode\"]"},
	{"url_encode", INPUT_TEXT, .arguments = {{"form", ARGUMENT_BOOLEAN}},
		.apply = apply_url_encode,
		.description = "For parts of addresses; with form true a space is +",
	.example = "[\"a b&c\", \"url_encode\"]"},
	{"url_decode", INPUT_TEXT, .arguments = {{"form", ARGUMENT_BOOLEAN}},
		.apply = apply_url_decode,
		.description = "What an encoded part of an address stands for; with form true + is a space",
	.example = "[\"a%20b%26c\", \"url_decode\"]"},
	{"json_encode", INPUT_ANY, .apply = apply_json_encode,
		.description = "Any value as JSON in a text",
	.example = "[[1, \"a\"], \"json_encode\"]"},
	{"json_decode", INPUT_TEXT, .apply = apply_json_decode,
		.description = "The value that a text in JSON stands for",
	.example = "[\"{\\\"a\\\": 1}\", \"json_decode\"]"},
	{NULL}
};
