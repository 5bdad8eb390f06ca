/*-------------------------------------------------------------------------
 *
 * auth.c
 *	  How requests to an endpoint authenticate; see auth.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "security/auth.h"
#include "security/auth_scheme.h"
#include "security/secret_set.h"
#include "security/store_secret.h"
#include "utils/timestamp.h"

/* An endpoint combines so many schemes at most. */
#define MAX_SCHEMES 8

/* A secret that cannot be read is asked for again after so long. */
#define RETRY_SECRET_MS 5000

static const AuthScheme *const schemes[] = {
	&postrider_auth_api_key,
	&postrider_auth_basic,
	&postrider_auth_bearer,
	&postrider_auth_hmac,
	&postrider_auth_aws_sigv4,
	&postrider_auth_mutual_tls,
	&postrider_auth_client_credentials,
	&postrider_auth_refresh_token,
	&postrider_auth_jwt_bearer
};

typedef struct AuthPart
{
	const AuthScheme *scheme;
	void	   *state;
} AuthPart;

struct Auth
{
	int			count;
	AuthPart	parts[MAX_SCHEMES];	/* in the order in which they are applied */
	List	   *secrets;
	List	   *fetch_secrets;	/* needed only when a token is fetched */
	List	   *urls;			/* of token servers */
	List	   *certificates;	/* ... that those are verified by */
};

/*
 * Compiling
 */

static const AuthScheme *
find_scheme(Options *options)
{
	char	   *type = postrider_options_text(options, "type", NULL);
	const char *names[lengthof(schemes) + 1] = {NULL};
	StringInfoData all;
	const char *meant;
	char	   *hint;

	initStringInfo(&all);
	for (int i = 0; i < (int) lengthof(schemes); i++)
	{
		if (type != NULL && strcmp(type, schemes[i]->type) == 0)
			return schemes[i];
		names[i] = schemes[i]->type;
		appendStringInfo(&all, "%s%s", i > 0 ? ", " : "", schemes[i]->type);
	}
	hint = psprintf("Types are: %s.", all.data);
	meant = type ? postrider_options_nearest(type, names) : NULL;
	if (type == NULL)
		(void) postrider_options_refuse(options, hint, "needs a \"type\"");
	else if (!postrider_options_is_name(type))
		(void) postrider_options_refuse(options, hint, "has an unknown type");
	else if (meant)
		(void) postrider_options_refuse(options, hint, "has an unknown type \"%s\", perhaps \"%s\" was meant",
										type, meant);
	else
		(void) postrider_options_refuse(options, hint, "has an unknown type \"%s\"", type);
	return NULL;
}

/* Compiles one object into the list, sorted by stage. */
static void
add_part(Auth *auth, Options *options)
{
	const AuthScheme *scheme = find_scheme(options);
	int			at = auth->count;

	if (scheme == NULL)
		return;
	if (auth->count == MAX_SCHEMES)
	{
		(void) postrider_options_refuse(options, NULL, "is one of more than %d schemes", MAX_SCHEMES);
		return;
	}
	postrider_options_check_keys(options, scheme->keys);
	while (at > 0 && auth->parts[at - 1].scheme->stage > scheme->stage)
	{
		auth->parts[at] = auth->parts[at - 1];
		at--;
	}
	auth->parts[at].scheme = scheme;
	auth->parts[at].state = scheme->compile(options);
	auth->count++;
}

static void
add_element(Auth *auth, Options *all, const JsonbValue *element, int number)
{
	Options		options = {
		.position = psprintf("[%d]", number)
	};

	if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
	{
		options.problem = psprintf("[%d] is no object", number);
		options.hint = "Write, for example, {\"type\": \"bearer\", \"secret\": \"name\"}.";
	}
	else
	{
		options.object = element->val.binary.data;
		add_part(auth, &options);
	}
	postrider_options_join(all, &options);
}

Auth *
postrider_auth_compile(Jsonb *document, const char **problem, const char **hint)
{
	Auth	   *auth = palloc0(sizeof(Auth));
	Options		options = {.object = &document->root,.position = ""};
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			number = 0;

	if (JB_ROOT_IS_OBJECT(document))
		add_part(auth, &options);
	else if (JB_ROOT_IS_SCALAR(document) || JB_ROOT_COUNT(document) == 0)
		(void) postrider_options_refuse(&options, "Write, for example, {\"type\": \"bearer\", \"secret\": \"name\"}, or NULL for none.",
										"is neither an object nor an array of objects");
	else
		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
			if (token == WJB_ELEM)
				add_element(auth, &options, &value, number++);
	auth->secrets = options.secrets;
	auth->fetch_secrets = options.fetch_secrets;
	auth->urls = options.urls;
	auth->certificates = options.certificates;
	*problem = options.problem;
	*hint = options.hint;
	return options.problem ? NULL : auth;
}

List *
postrider_auth_secrets(const Auth *auth)
{
	return list_concat(list_copy(auth->secrets), auth->fetch_secrets);
}

List *
postrider_auth_urls(const Auth *auth)
{
	return auth->urls;
}

List *
postrider_auth_certificates(const Auth *auth)
{
	return auth->certificates;
}

bool
postrider_auth_fits_url(const Auth *auth, const char *url, const char **problem)
{
	for (int i = 0; i < auth->count; i++)
		if (auth->parts[i].scheme->fits_url != NULL &&
			!auth->parts[i].scheme->fits_url(auth->parts[i].state, url, problem))
			return false;
	return true;
}

bool
postrider_auth_fit_each_other(const Auth *auth, AuthSecretReader read, TimestampTz now,
							  const char **problem)
{
	for (int i = 0; i < auth->count; i++)
		if (auth->parts[i].scheme->fit_each_other != NULL &&
			!auth->parts[i].scheme->fit_each_other(auth->parts[i].state, read, now, problem))
			return false;
	return true;
}

/*
 * Using
 */

AuthState
postrider_auth_secrets_ready(const List *names, TimestampTz now, const char **problem,
							 const char **error_code, TimestampTz *retry_at)
{
	AuthState	state = AUTH_READY;
	ListCell   *cell;

	foreach(cell, names)
	{
		const SecretVersion *versions;
		int			count;
		SecretState found = postrider_secret_find(lfirst(cell), now, &versions, &count, problem);

		*error_code = "secret";
		*retry_at = TimestampTzPlusMilliseconds(now, RETRY_SECRET_MS);
		if (found == SECRET_FAILED)
		{
			*retry_at = Max(*retry_at, postrider_store_secret_retry_at(lfirst(cell)));
			return AUTH_FAILED;
		}
		if (found == SECRET_WAITING)
			state = AUTH_WAITING;
	}
	return state;
}

AuthState
postrider_auth_ready(Auth *auth, TimestampTz now, const char **problem,
					 const char **error_code, TimestampTz *retry_at)
{
	AuthState	state = postrider_auth_secrets_ready(auth->secrets, now, problem, error_code,
													 retry_at);

	if (state == AUTH_FAILED)
		return AUTH_FAILED;
	for (int i = 0; i < auth->count; i++)
	{
		const AuthPart *part = &auth->parts[i];
		AuthState	found = part->scheme->ready == NULL ? AUTH_READY :
			part->scheme->ready(part->state, now, problem, error_code, retry_at);

		if (found == AUTH_FAILED)
			return AUTH_FAILED;
		if (found == AUTH_WAITING)
			state = AUTH_WAITING;
	}
	return state;
}

bool
postrider_auth_apply(Auth *auth, AuthRequest *request, const char **problem)
{
	for (int i = 0; i < auth->count; i++)
		if (!auth->parts[i].scheme->apply(auth->parts[i].state, request, problem))
			return false;
	return true;
}

bool
postrider_auth_rejected(Auth *auth, TimestampTz sent_at, bool doubted)
{
	bool		worth_trying = false;
	ListCell   *cell;

	/* A store may have a newer value. */
	foreach(cell, auth->secrets)
		postrider_store_secret_doubted(lfirst(cell), sent_at);
	for (int i = 0; i < auth->count; i++)
		if (auth->parts[i].scheme->rejected != NULL &&
			auth->parts[i].scheme->rejected(auth->parts[i].state, sent_at, doubted))
			worth_trying = true;
	return worth_trying;
}

const char *
postrider_auth_header(const AuthRequest *request, const char *name)
{
	ListCell   *cell;

	foreach(cell, request->headers)
	{
		const AuthHeader *header = lfirst(cell);

		if (pg_strcasecmp(header->name, name) == 0)
			return header->value;
	}
	return NULL;
}

void
postrider_auth_remove_header(AuthRequest *request, const char *name)
{
	ListCell   *cell;

	foreach(cell, request->headers)
		if (pg_strcasecmp(((AuthHeader *) lfirst(cell))->name, name) == 0)
			request->headers = foreach_delete_current(request->headers, cell);
}

void
postrider_auth_set_header(AuthRequest *request, const char *name, const char *value)
{
	AuthHeader *made = palloc(sizeof(AuthHeader));

	postrider_auth_remove_header(request, name);
	made->name = pstrdup(name);
	made->value = pstrdup(value);
	made->is_set = true;
	request->headers = lappend(request->headers, made);
}

void
postrider_auth_hide(AuthRequest *request, const char *secret)
{
	if (secret[0])
		request->secrets = lappend(request->secrets, unconstify(char *, secret));
}

const char *
postrider_auth_secret(const char *name, TimestampTz now, Size *length, const char **problem)
{
	const SecretVersion *versions;
	int			count;

	switch (postrider_secret_find(name, now, &versions, &count, problem))
	{
		case SECRET_READY:
			*length = versions[0].length;
			return versions[0].value;
		case SECRET_WAITING:
			*problem = psprintf("secret \"%s\" is being fetched", name);
			break;
		case SECRET_FAILED:
			break;
	}
	return NULL;
}

char *
postrider_auth_secret_line(AuthRequest *request, const char *name, const char **problem)
{
	Size		length;
	const char *value = postrider_auth_secret(name, request->now, &length, problem);
	char	   *line;

	if (value == NULL)
		return NULL;
	while (length > 0 && isspace((unsigned char) value[length - 1]))
		length--;
	while (length > 0 && isspace((unsigned char) *value))
	{
		value++;
		length--;
	}
	for (Size i = 0; i < length; i++)
		if ((unsigned char) value[i] < ' ' || value[i] == 0x7f)
		{
			*problem = psprintf("secret \"%s\" has a control character or a line break in it, and cannot be sent",
								name);
			return NULL;
		}
	line = pnstrdup(value, length);
	postrider_auth_hide(request, line);
	return line;
}
