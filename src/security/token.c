/*-------------------------------------------------------------------------
 *
 * token.c
 *	  What the kinds of OAuth 2.0 tokens have in common.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "security/digest.h"
#include "security/secret_set.h"
#include "security/token.h"
#include "utils/timestamp.h"

/* Salesforce takes no assertion that is good for longer than three minutes. */
#define ASSERTION_LIFETIME_S 180

#define MAX_KEYS 32

/* A year: of a token of which the server does not say. */
#define MAX_LIFETIME_S (366 * 24 * 60 * 60)

static const char *const common_keys[] = {
	"token_url", "scope", "audience", "ca_certificate", "token_field", "lifetime", "parameters"
};

static const OptionChoice authentications[] = {
	{"basic", CLIENT_SECRET_BASIC},
	{"post", CLIENT_SECRET_POST},
	{"private_key_jwt", CLIENT_PRIVATE_KEY_JWT},
	{NULL, 0}
};

static const OptionChoice algorithms[] = {
	{"RS256", JWT_RS256},
	{"ES256", JWT_ES256},
	{NULL, 0}
};

/* A string, or an array of strings, which are joined by blanks. */
static char *
read_scope(Options *options)
{
	JsonbValue	space;
	JsonbValue *value = getKeyJsonValueFromContainer(options->object, "scope",
													 strlen("scope"), &space);
	StringInfoData joined;
	ListCell   *cell;

	if (value == NULL || value->type != jbvBinary)
		return postrider_options_text(options, "scope", NULL);
	initStringInfo(&joined);
	foreach(cell, postrider_options_texts(options, "scope"))
		appendStringInfo(&joined, "%s%s", joined.len > 0 ? " " : "", (char *) lfirst(cell));
	return joined.len > 0 ? joined.data : NULL;
}

/* An object within, of which all values are strings if "texts"; NULL: there is none. */
static Jsonb *
read_object(Options *options, const char *key, bool texts)
{
	Options		within;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!postrider_options_object(options, key, &within) || within.object == NULL)
		return NULL;
	iterator = JsonbIteratorInit(within.object);
	while (texts && (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_VALUE && value.type != jbvString)
		{
			(void) postrider_options_refuse(options, "Write numbers in quotes.",
											"has a value in \"%s\" that is no string", key);
			return NULL;
		}
	return postrider_options_copy(within.object);
}

TokenClient *
postrider_token_compile(CredentialSpec *spec, Options *options, const char *const *own_keys)
{
	TokenClient *client = palloc0(sizeof(TokenClient));
	const char *keys[MAX_KEYS + 1] = {NULL};
	int			count = 0;

	memset(options, 0, sizeof(*options));
	options->object = &spec->document->root;
	options->position = "";
	for (int i = 0; i < (int) lengthof(common_keys); i++)
		keys[count++] = common_keys[i];
	for (int i = 0; own_keys[i] != NULL && count < MAX_KEYS; i++)
		keys[count++] = own_keys[i];
	postrider_options_check_keys(options, keys);
	client->token_url = postrider_options_required_text(options, "token_url");
	client->scope = read_scope(options);
	client->audience = postrider_options_text(options, "audience", NULL);
	spec->ca_certificate = postrider_options_text(options, "ca_certificate", NULL);
	client->token_field = postrider_options_text(options, "token_field", "access_token");
	client->lifetime_s = postrider_options_integer(options, "lifetime", 1, MAX_LIFETIME_S, 0);
	client->parameters = read_object(options, "parameters", true);
	return client;
}

bool
postrider_token_finish(CredentialSpec *spec, Options *options, TokenClient *client,
					   List **urls, const char **problem, const char **hint)
{
	if (options->problem != NULL)
	{
		*problem = options->problem;
		*hint = options->hint;
		return false;
	}
	spec->server = pnstrdup(client->token_url, strcspn(client->token_url, "?#"));
	spec->secrets = options->secrets;
	spec->data = client;
	*urls = lappend(*urls, client->token_url);
	return true;
}

void
postrider_token_read_client(Options *options, TokenClient *client)
{
	client->client_id = postrider_options_text(options, "client_id", NULL);
	client->client_secret = postrider_options_secret(options, "client_secret");
	client->authentication = postrider_options_choice(options, "client_authentication",
													  authentications, CLIENT_SECRET_BASIC);
	if (client->client_secret != NULL && client->client_id == NULL)
		(void) postrider_options_refuse(options, NULL,
										"has a \"client_secret\" but no \"client_id\"");
	if (client->client_secret != NULL && client->authentication == CLIENT_PRIVATE_KEY_JWT)
		(void) postrider_options_refuse(options, "Leave \"client_secret\" out, and name the key in \"key\".",
										"has a \"client_secret\", which private_key_jwt does not use");
}

void
postrider_token_read_key(Options *options, TokenClient *client)
{
	static const char *const standard[] = {"iss", "sub", "aud", "scope", "exp", "iat", "jti"};
	JsonbValue	space;

	client->key = postrider_options_required_secret(options, "key");
	client->algorithm = postrider_options_choice(options, "algorithm", algorithms, JWT_RS256);
	client->key_id = postrider_options_text(options, "key_id", NULL);
	client->assertion_audience = postrider_options_text(options, "assertion_audience", NULL);
	client->assertion_lifetime_s =
		postrider_options_integer(options, "assertion_lifetime", 10, 3600, ASSERTION_LIFETIME_S);
	client->claims = read_object(options, "claims", false);
	for (int i = 0; client->claims && i < (int) lengthof(standard); i++)
		if (getKeyJsonValueFromContainer(&client->claims->root, standard[i],
										 strlen(standard[i]), &space))
			(void) postrider_options_refuse(options, "These are made by postrider: issuer, subject, audience, scope and assertion_lifetime say what is in them.",
											"has \"%s\" in \"claims\"", standard[i]);
}

CredentialState
postrider_token_secret(const char *name, TimestampTz now, CredentialRequest *request,
					   char **value, const char **problem)
{
	const SecretVersion *versions;
	const char *start;
	Size		length;
	int			count;

	switch (postrider_secret_find(name, now, &versions, &count, problem))
	{
		case SECRET_WAITING:
			return CREDENTIAL_WAITING;
		case SECRET_FAILED:
			return CREDENTIAL_FAILED;
		case SECRET_READY:
			break;
	}
	start = versions[0].value;
	length = versions[0].length;
	while (length > 0 && isspace((unsigned char) start[length - 1]))
		length--;
	while (length > 0 && isspace((unsigned char) *start))
	{
		start++;
		length--;
	}
	*value = pnstrdup(start, length);
	request->hidden = lappend(request->hidden, *value);
	return CREDENTIAL_READY;
}

/* application/x-www-form-urlencoded */
static void
append_encoded(StringInfo out, const char *value)
{
	static const char digits[] = "0123456789ABCDEF";

	for (const unsigned char *c = (const unsigned char *) value; *c; c++)
	{
		if ((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
			(*c >= 'a' && *c <= 'z') || strchr("-._~", *c))
			appendStringInfoChar(out, (char) *c);
		else
		{
			appendStringInfoChar(out, '%');
			appendStringInfoChar(out, digits[*c >> 4]);
			appendStringInfoChar(out, digits[*c & 15]);
		}
	}
}

void
postrider_token_add(StringInfo form, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (form->len > 0)
		appendStringInfoChar(form, '&');
	append_encoded(form, name);
	appendStringInfoChar(form, '=');
	append_encoded(form, value);
}

static void
add_header(CredentialRequest *request, const char *name, const char *value)
{
	CredentialHeader *header = palloc(sizeof(CredentialHeader));

	header->name = name;
	header->value = value;
	request->headers = lappend(request->headers, header);
}

void
postrider_token_begin(CredentialRequest *request, StringInfo form, const char *grant_type)
{
	initStringInfo(form);
	postrider_token_add(form, "grant_type", grant_type);
	request->method = "POST";
	add_header(request, "Content-Type", "application/x-www-form-urlencoded");
}

/* Both are encoded before they are put together: RFC 6749 section 2.3.1. */
static void
add_basic(CredentialRequest *request, const char *id, const char *secret)
{
	StringInfoData pair;
	char	   *encoded;

	initStringInfo(&pair);
	append_encoded(&pair, id);
	appendStringInfoChar(&pair, ':');
	append_encoded(&pair, secret);
	encoded = postrider_digest_encode(DIGEST_BASE64, pair.data, pair.len);
	add_header(request, "Authorization", psprintf("Basic %s", encoded));
	request->hidden = lappend(request->hidden, encoded);
}

static CredentialState
add_client(const TokenClient *client, TimestampTz now, CredentialRequest *request,
		   StringInfo form, const char **problem)
{
	char	   *secret = NULL;
	char	   *assertion;
	CredentialState state = CREDENTIAL_READY;

	if (client->client_secret)
		state = postrider_token_secret(client->client_secret, now, request, &secret, problem);
	if (state != CREDENTIAL_READY)
		return state;
	if (client->authentication == CLIENT_PRIVATE_KEY_JWT)
	{
		state = postrider_token_assertion(client, client->client_id, client->client_id, now,
										  request, &assertion, problem);
		if (state != CREDENTIAL_READY)
			return state;
		postrider_token_add(form, "client_id", client->client_id);
		postrider_token_add(form, "client_assertion_type",
							"urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
		postrider_token_add(form, "client_assertion", assertion);
	}
	else if (secret != NULL && client->authentication == CLIENT_SECRET_BASIC)
		add_basic(request, client->client_id, secret);
	else
	{
		postrider_token_add(form, "client_id", client->client_id);
		postrider_token_add(form, "client_secret", secret);
	}
	return CREDENTIAL_READY;
}

static void
add_parameters(const TokenClient *client, StringInfo form)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	if (client->parameters == NULL)
		return;
	iterator = JsonbIteratorInit(&client->parameters->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		postrider_token_add(form, pnstrdup(key.val.string.val, key.val.string.len),
							pnstrdup(value.val.string.val, value.val.string.len));
	}
}

CredentialState
postrider_token_end(const TokenClient *client, TimestampTz now, CredentialRequest *request,
					StringInfo form, const char **problem)
{
	CredentialState state = add_client(client, now, request, form, problem);

	if (state != CREDENTIAL_READY)
		return state;
	add_parameters(client, form);
	request->url = client->token_url;
	request->body = form->data;
	request->body_length = form->len;
	return CREDENTIAL_READY;
}

/* A key in PEM, or the JSON in which Google gives one out, which says more. */
CredentialState
postrider_token_assertion(const TokenClient *client, const char *issuer, const char *subject,
						  TimestampTz now, CredentialRequest *request, char **assertion,
						  const char **problem)
{
	JwtKey		key = {.algorithm = client->algorithm,.key_id = client->key_id};
	JwtClaims	claims = {
		.issuer = issuer,
		.subject = subject,
		.audience = client->assertion_audience ? client->assertion_audience : client->token_url,
		.issued_at = now,
		.lifetime_s = client->assertion_lifetime_s,
		.extra = client->claims ? &client->claims->root : NULL
	};
	char	   *value;
	const char *reason = NULL;
	Jsonb	   *account;
	CredentialState state = postrider_token_secret(client->key, now, request, &value, problem);

	if (state != CREDENTIAL_READY)
		return state;
	key.pem = value;
	if (value[0] == '{' && (account = postrider_token_json(value)) != NULL)
	{
		key.pem = postrider_token_json_text(account, "private_key");
		if (key.key_id == NULL)
			key.key_id = postrider_token_json_text(account, "private_key_id");
		if (claims.issuer == NULL)
			claims.issuer = postrider_token_json_text(account, "client_email");
	}
	if (claims.issuer == NULL)
		reason = "has no client_email in it, and there is no \"issuer\"";
	else if (key.pem == NULL)
		reason = "is JSON without a private_key";
	if (reason == NULL)
	{
		/* The scope goes where the grant is the assertion itself. */
		claims.scope = client->authentication == CLIENT_PRIVATE_KEY_JWT ? NULL : client->scope;
		key.length = strlen(key.pem);
		*assertion = postrider_jwt_sign(&key, &claims, &reason);
	}
	if (reason != NULL)
	{
		*problem = psprintf("secret \"%s\" %s", client->key, reason);
		return CREDENTIAL_FAILED;
	}
	request->hidden = lappend(request->hidden, *assertion);
	return CREDENTIAL_READY;
}
