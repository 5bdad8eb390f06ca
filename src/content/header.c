/*-------------------------------------------------------------------------
 *
 * header.c
 *	  HTTP headers given by users.
 *
 * A value may be a credential, so it never appears in an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/header.h"

#define MAX_HEADERS 100
#define MAX_HEADER_BYTES (16 * 1024)
#define SEPARATOR_BYTES 4		/* ": " and CR LF */

static const char *const own_headers[] = {
	"connection", "content-length", "expect", "host", "http2-settings",
	"keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
	"upgrade"
};

/* tchar of RFC 9110 section 5.6.2 */
static bool
is_token(const char *string, int length)
{
	for (int i = 0; i < length; i++)
	{
		char		c = string[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
			!(c >= '0' && c <= '9') &&
			(c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
			return false;
	}
	return length > 0;
}

static bool
is_own_header(const char *name, int length)
{
	if (length >= 8 && pg_strncasecmp(name, "webhook-", 8) == 0)
		return true;
	for (int i = 0; i < (int) lengthof(own_headers); i++)
		if (strlen(own_headers[i]) == (Size) length &&
			pg_strncasecmp(name, own_headers[i], length) == 0)
			return true;
	return false;
}

static bool
has_control_byte(const char *string, int length)
{
	for (int i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) string[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

/* Why the header cannot be sent, as a sentence; NULL if it can. */
static const char *
find_problem(const JsonbValue *name, const JsonbValue *value)
{
	if (!is_token(name->val.string.val, name->val.string.len))
		return "The name of a header is made of letters, digits and the characters !#$%&'*+-.^_`|~ only.";
	if (is_own_header(name->val.string.val, name->val.string.len))
		return "postrider sets or leaves out this header itself.";
	if (value->type != jbvString)
		return "Its value is not a JSON string.";
	if (has_control_byte(value->val.string.val, value->val.string.len))
		return "Its value has a control character in it.";
	return NULL;
}

static bool
is_same_name(const JsonbValue *name, const char *other, int other_length)
{
	return name->val.string.len == other_length &&
		pg_strncasecmp(name->val.string.val, other, other_length) == 0;
}

static Size
sent_bytes(const JsonbValue *name, const JsonbValue *value)
{
	return (Size) name->val.string.len + value->val.string.len +
		SEPARATOR_BYTES;
}

/* Fetches the next header of the object; false at its end. */
static bool
next_header(JsonbIterator **it, JsonbValue *name, JsonbValue *value)
{
	JsonbIteratorToken token = JsonbIteratorNext(it, name, true);

	if (token == WJB_BEGIN_OBJECT)
		token = JsonbIteratorNext(it, name, true);
	if (token != WJB_KEY)
		return false;
	(void) JsonbIteratorNext(it, value, true);
	return true;
}

static void
report_problem(const JsonbValue *name, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("header \"%.*s\" cannot be sent",
					Min(name->val.string.len, 200), name->val.string.val),
			 errdetail("%s", problem)));
}

void
postrider_headers_require(Jsonb *headers)
{
	JsonbIterator *it;
	JsonbValue	names[MAX_HEADERS];
	JsonbValue	name;
	JsonbValue	value;
	int			count = 0;
	Size		bytes = 0;

	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("headers must be a JSON object of strings"),
				 errhint("Write for example {\"X-Shop\": \"main\"}.")));
	if (JB_ROOT_COUNT(headers) > MAX_HEADERS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many headers"),
				 errdetail("There are %d; at most %d are sent.",
						   (int) JB_ROOT_COUNT(headers), MAX_HEADERS)));

	it = JsonbIteratorInit(&headers->root);
	while (next_header(&it, &name, &value))
	{
		const char *problem = find_problem(&name, &value);

		if (problem != NULL)
			report_problem(&name, problem);
		for (int i = 0; i < count; i++)
			if (is_same_name(&name, names[i].val.string.val,
							 names[i].val.string.len))
				report_problem(&name, "It is given more than once, in different case.");
		names[count++] = name;
		bytes += sent_bytes(&name, &value);
	}
	if (bytes > MAX_HEADER_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("headers are too long"),
				 errdetail("They have %zu bytes; at most %d are sent.",
						   bytes, MAX_HEADER_BYTES)));
}

static bool
is_known_name(const JsonbValue *name, const Header *headers, int count)
{
	for (int i = 0; i < count; i++)
		if (is_same_name(name, headers[i].name, strlen(headers[i].name)))
			return true;
	return false;
}

int
postrider_headers_unpack(Jsonb *headers, Header **result)
{
	JsonbIterator *it;
	JsonbValue	name;
	JsonbValue	value;
	int			limit;
	int			count = 0;
	Size		bytes = 0;

	*result = NULL;
	if (headers == NULL || !JB_ROOT_IS_OBJECT(headers) ||
		JB_ROOT_COUNT(headers) == 0)
		return 0;

	limit = Min(JB_ROOT_COUNT(headers), MAX_HEADERS);
	*result = palloc(limit * sizeof(Header));
	it = JsonbIteratorInit(&headers->root);
	while (count < limit && next_header(&it, &name, &value))
	{
		if (find_problem(&name, &value) != NULL ||
			is_known_name(&name, *result, count))
			continue;
		bytes += sent_bytes(&name, &value);
		if (bytes > MAX_HEADER_BYTES)
			break;
		(*result)[count].name = pnstrdup(name.val.string.val,
										 name.val.string.len);
		(*result)[count].value = pnstrdup(value.val.string.val,
										  value.val.string.len);
		count++;
	}
	return count;
}
