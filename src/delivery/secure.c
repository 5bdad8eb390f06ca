/*-------------------------------------------------------------------------
 *
 * secure.c
 *	  What authenticates and signs a request; see secure.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/secure.h"
#include "security/signing.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define RETRY_BROKEN_MS 60000
#define MASK "***"

AuthState
postrider_secure_ready(const Endpoint *endpoint, TimestampTz now, const char **problem,
					   const char **error_code, TimestampTz *retry_at)
{
	AuthState	signing = AUTH_READY;
	AuthState	auth = AUTH_READY;

	if (endpoint->auth_problem != NULL)
	{
		*problem = endpoint->auth_problem;
		*error_code = "auth";
		*retry_at = TimestampTzPlusMilliseconds(now, RETRY_BROKEN_MS);
		return AUTH_FAILED;
	}
	if (endpoint->signing != NULL)
		signing = postrider_signing_ready(endpoint->signing, now, problem, error_code, retry_at);
	if (signing != AUTH_FAILED && endpoint->auth != NULL)
		auth = postrider_auth_ready(endpoint->auth, now, problem, error_code, retry_at);
	return Max(signing, auth);
}

bool
postrider_secure_concerns(const Endpoint *endpoint)
{
	return endpoint->auth != NULL ||
		(endpoint->signing != NULL && postrider_signing_has_others(endpoint->signing));
}

static void
set_blob(CURL *easy, CURLoption option, const char *pem)
{
	struct curl_blob blob = {
		.data = unconstify(char *, pem),
		.len = strlen(pem),
		.flags = CURL_BLOB_COPY
	};

	curl_easy_setopt(easy, option, &blob);
}

/*
 * With a private authority no other one is trusted for this endpoint.  A certificate of
 * the client, likewise, makes connections that curl shares with nobody
 * else: it compares both before it takes one that it has kept.
 */
void
postrider_secure_set_up(CURL *easy, const Endpoint *endpoint)
{
	if (endpoint->ca_certificate != NULL)
	{
		set_blob(easy, CURLOPT_CAINFO_BLOB, endpoint->ca_certificate);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}

	/* What is signed is the path as it stands in the URL. */
	if (postrider_secure_concerns(endpoint))
		curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
}

/*
 * Lines for curl are "Name: value", "Name;" without a value, and "Name:", which says that
 * curl must not send its own.
 */
static List *
read_headers(const struct curl_slist *lines)
{
	List	   *headers = NIL;

	for (; lines; lines = lines->next)
	{
		const char *line = lines->data;
		Size		length = strcspn(line, ":;");
		const char *value = line + length;
		AuthHeader *header;

		if (*value == '\0' || (*value == ':' && value[1 + strspn(value + 1, " ")] == '\0'))
			continue;
		value++;
		header = palloc(sizeof(AuthHeader));
		header->name = pnstrdup(line, length);
		header->value = pstrdup(value + strspn(value, " "));
		header->is_set = false;
		headers = lappend(headers, header);
	}
	return headers;
}

static struct curl_slist *
add_line(struct curl_slist *list, char *line)
{
	struct curl_slist *node = palloc(sizeof(struct curl_slist));

	node->data = line;
	node->next = list;
	return node;
}

/* A list as curl wants it, with those lines of the old one that say what not to send. */
static const struct curl_slist *
write_headers(const AuthRequest *secured, const struct curl_slist *old)
{
	struct curl_slist *list = NULL;
	ListCell   *cell;

	foreach(cell, secured->headers)
	{
		const AuthHeader *header = lfirst(cell);

		list = add_line(list, psprintf(header->value[0] ? "%s: %s" : "%s;", header->name,
									   header->value));
	}
	for (; old; old = old->next)
	{
		Size		length = strcspn(old->data, ":");

		if (strcmp(old->data + length, ":") == 0 &&
			postrider_auth_header(secured, pnstrdup(old->data, length)) == NULL)
			list = add_line(list, old->data);
	}
	return list;
}

static void
set_tls(Request *request, const AuthTls *tls)
{
	CURL	   *easy = request->easy;

	if (tls->certificate == NULL)
		return;
	set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->certificate);
	set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key);
	curl_easy_setopt(easy, CURLOPT_KEYPASSWD, tls->passphrase);
}

static bool
secure(const Endpoint *endpoint, AuthRequest *secured, const char **problem)
{
	if (endpoint->auth && !postrider_auth_apply(endpoint->auth, secured, problem))
		return false;
	return endpoint->signing == NULL ||
		postrider_signing_apply(endpoint->signing, secured, problem);
}

bool
postrider_secure_apply(Request *request, Delivery *delivery, const char *body,
					   Size body_length, TimestampTz now)
{
	const Endpoint *endpoint = delivery->endpoint;
	const char *problem = NULL;
	AuthRequest secured = {
		.method = endpoint->method,
		.body = body,
		.body_length = body_length,
		.now = now,
		.message_id = request->id + strlen("webhook-id: "),
		.url = delivery->url ? delivery->url : endpoint->url
	};
	MemoryContext old;
	bool		done;

	if (request->secure_context == NULL)
		request->secure_context = AllocSetContextCreate(TopMemoryContext, "postrider credentials",
														ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(request->secure_context);
	secured.headers = read_headers(request->sent_headers);
	done = secure(endpoint, &secured, &problem);
	if (done)
	{
		set_tls(request, &secured.tls);
		request->sent_headers = write_headers(&secured, request->sent_headers);
		request->sent_url = secured.url;
	}
	request->secrets = secured.secrets;
	MemoryContextSwitchTo(old);
	if (!done)
	{
		delivery->result.error_code = "auth";
		delivery->result.error = pstrdup(problem);
	}
	return done;
}

void
postrider_secure_clear(Request *request)
{
	ListCell   *cell;

	if (request->secure_context == NULL)
		return;
	foreach(cell, request->secrets)
		explicit_bzero(lfirst(cell), strlen(lfirst(cell)));
	request->secrets = NIL;
	request->sent_url = NULL;
	request->sent_headers = NULL;
	MemoryContextReset(request->secure_context);
}

/* The length of the longest secret that stands at these bytes; 0: none. */
static Size
secret_at(const List *secrets, const char *bytes, Size length, Size least)
{
	Size		longest = 0;
	ListCell   *cell;

	foreach(cell, secrets)
	{
		const char *secret = lfirst(cell);
		Size		size = strlen(secret);

		if (size >= least && size <= length && size > longest && secret[0] == bytes[0] &&
			memcmp(secret, bytes, size) == 0)
			longest = size;
	}
	return longest;
}

char *
postrider_secure_mask(const Request *request, const char *bytes, Size length, Size least,
					  Size *masked_length)
{
	StringInfoData out;

	initStringInfo(&out);
	if (request->secrets == NIL)
		appendBinaryStringInfo(&out, bytes, (int) length);
	for (Size i = 0; request->secrets != NIL && i < length;)
	{
		Size		size = secret_at(request->secrets, bytes + i, length - i, least);

		if (size > 0)
			appendStringInfoString(&out, MASK);
		else
			appendStringInfoChar(&out, bytes[i]);
		i += Max(size, 1);
	}
	*masked_length = out.len;
	return out.data;
}
