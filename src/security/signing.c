/*-------------------------------------------------------------------------
 *
 * signing.c
 *	  What proves to receivers who has sent a request; see signing.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "security/secret_set.h"
#include "security/signature.h"
#include "security/signing_format.h"
#include "utils/timestamp.h"

/* Of each kind, for one endpoint. */
#define MAX_STANDARD 4
#define MAX_OTHERS 8

#define STANDARD_TYPE "standard-webhooks"
#define ED25519_VERSION "v1a,"

/* A space, the version, 88 characters of base64, and NUL. */
#define SIGNATURE_ROOM 96

static const char *const standard_keys[] = {"type", "secret", NULL};

static const SigningFormat *const formats[] = {
	&postrider_signing_http,
	&postrider_signing_github,
	&postrider_signing_stripe
};

typedef struct SigningPart
{
	const SigningFormat *format;
	void	   *state;
} SigningPart;

struct Signing
{
	int			standard_count;
	SigningKey *standard[MAX_STANDARD];
	int			other_count;
	SigningPart others[MAX_OTHERS];
	List	   *secrets;
};

/*
 * Compiling
 */

static void
refuse_type(Options *options, const char *type)
{
	const char *names[lengthof(formats) + 2] = {NULL};
	StringInfoData all;
	const char *meant;
	char	   *hint;

	initStringInfo(&all);
	names[0] = STANDARD_TYPE;
	appendStringInfoString(&all, STANDARD_TYPE);
	for (int i = 0; i < (int) lengthof(formats); i++)
	{
		names[i + 1] = formats[i]->type;
		appendStringInfo(&all, ", %s", formats[i]->type);
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
}

static void
add_standard(Signing *signing, Options *options, SigningKey *key)
{
	if (signing->standard_count == MAX_STANDARD)
		(void) postrider_options_refuse(options, NULL, "is one of more than %d of its type", MAX_STANDARD);
	else
		signing->standard[signing->standard_count++] = key;
}

static void
add_other(Signing *signing, Options *options, const SigningFormat *format)
{
	void	   *state;

	if (signing->other_count == MAX_OTHERS)
	{
		(void) postrider_options_refuse(options, NULL, "is one of more than %d signatures", MAX_OTHERS);
		return;
	}
	postrider_options_check_keys(options, format->keys);
	state = format->compile(options);
	for (int i = 0; i < signing->other_count; i++)
		if (pg_strcasecmp(signing->others[i].format->label(signing->others[i].state),
						  format->label(state)) == 0)
			(void) postrider_options_refuse(options, NULL,
											"has the label or the header of another one");
	signing->others[signing->other_count].format = format;
	signing->others[signing->other_count++].state = state;
}

static void
add_part(Signing *signing, Options *options)
{
	char	   *type = postrider_options_text(options, "type", NULL);

	if (type != NULL && strcmp(type, STANDARD_TYPE) == 0)
	{
		postrider_options_check_keys(options, standard_keys);
		add_standard(signing, options,
					 postrider_signing_key(options, SIGNING_KEY_STANDARD, KEY_TEXT));
		return;
	}
	for (int i = 0; type != NULL && i < (int) lengthof(formats); i++)
		if (strcmp(type, formats[i]->type) == 0)
		{
			add_other(signing, options, formats[i]);
			return;
		}
	refuse_type(options, type);
}

static void
add_element(Signing *signing, Options *all, const JsonbValue *element, int number)
{
	Options		options = {
		.position = psprintf("[%d]", number)
	};

	if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
	{
		options.problem = psprintf("[%d] is no object", number);
		options.hint = "Write, for example, {\"type\": \"github\", \"secret\": \"name\"}.";
	}
	else
	{
		options.object = element->val.binary.data;
		add_part(signing, &options);
	}
	postrider_options_join(all, &options);
}

static void
add_document(Signing *signing, Options *options, Jsonb *document)
{
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			number = 0;

	if (JB_ROOT_IS_OBJECT(document))
		add_part(signing, options);
	else if (JB_ROOT_IS_SCALAR(document) || JB_ROOT_COUNT(document) == 0)
		(void) postrider_options_refuse(options, "Write, for example, {\"type\": \"github\", \"secret\": \"name\"}, or NULL for none.",
										"is neither an object nor an array of objects");
	else
		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
			if (token == WJB_ELEM)
				add_element(signing, options, &value, number++);
}

Signing *
postrider_signing_compile(Jsonb *document, const char *signing_secret,
						  const char **problem, const char **hint)
{
	Signing    *signing = palloc0(sizeof(Signing));
	Options		options = {.position = ""};
	char	   *secret;

	if (document != NULL)
	{
		options.object = &document->root;
		add_document(signing, &options, document);
	}
	if (signing_secret != NULL)
	{
		secret = pstrdup(signing_secret);
		add_standard(signing, &options,
					 postrider_signing_key_of(secret, SIGNING_KEY_STANDARD, KEY_TEXT));
		options.secrets = lappend(options.secrets, secret);
	}
	signing->secrets = options.secrets;
	*problem = options.problem;
	*hint = options.hint;
	return options.problem ? NULL : signing;
}

List *
postrider_signing_secrets(const Signing *signing)
{
	return signing->secrets;
}

/*
 * Signing
 */

AuthState
postrider_signing_ready(Signing *signing, TimestampTz now, const char **problem,
						const char **error_code, TimestampTz *retry_at)
{
	return postrider_auth_secrets_ready(signing->secrets, now, problem, error_code, retry_at);
}

bool
postrider_signing_has_standard(const Signing *signing)
{
	return signing->standard_count > 0;
}

bool
postrider_signing_has_others(const Signing *signing)
{
	return signing->other_count > 0;
}

/* v1a: ed25519 over the same bytes, which must be in one piece. */
static bool
sign_ed25519(Ed25519Key *key, const char *id, int64 timestamp, const char *body,
			 Size body_length, char *result, Size size)
{
	char	   *head = psprintf("%s." INT64_FORMAT ".", id, timestamp);
	Size		head_length = strlen(head);
	char	   *bytes = palloc(head_length + body_length + 1);
	unsigned char signature[ED25519_SIGNATURE_BYTES];
	int			encoded = -1;

	memcpy(bytes, head, head_length);
	if (body_length > 0)
		memcpy(bytes + head_length, body, body_length);
	if (postrider_ed25519_sign(key, bytes, head_length + body_length, signature))
		encoded = pg_b64_encode((const void *) signature, sizeof(signature),
								result + strlen(ED25519_VERSION),
								(int) (size - strlen(ED25519_VERSION) - 1));
	pfree(bytes);
	pfree(head);
	if (encoded < 0)
		return false;
	memcpy(result, ED25519_VERSION, strlen(ED25519_VERSION));
	result[strlen(ED25519_VERSION) + encoded] = '\0';
	return true;
}

static bool
sign_version(const SigningKeyVersion *version, const char *id, int64 timestamp,
			 const char *body, Size body_length, char *result, Size size)
{
	if (version->ed25519 != NULL)
		return sign_ed25519(version->ed25519, id, timestamp, body, body_length, result, size);
	return size >= POSTRIDER_SIGNATURE_SIZE &&
		postrider_signature_v1(version->bytes, version->length, id, timestamp, body, body_length, result);
}

bool
postrider_signing_standard(Signing *signing, const char *id, int64 timestamp,
						   const char *body, Size body_length, TimestampTz now,
						   char result[SIGNING_STANDARD_SIZE], const char **problem)
{
	Size		at = 0;

	for (int i = 0; i < signing->standard_count; i++)
	{
		SigningKey *key = signing->standard[i];

		if (!postrider_signing_key_load(key, now, problem))
			return false;
		for (int j = 0; j < key->count; j++)
		{
			/* Where there is no room, the oldest ones are left out. */
			if (at + SIGNATURE_ROOM > SIGNING_STANDARD_SIZE)
				break;
			if (at > 0)
				result[at++] = ' ';
			if (!sign_version(&key->versions[j], id, timestamp, body, body_length, result + at,
							  SIGNING_STANDARD_SIZE - at - 1))
			{
				*problem = "the request could not be signed";
				return false;
			}
			at += strlen(result + at);
		}
	}
	return true;
}

bool
postrider_signing_apply(Signing *signing, AuthRequest *request, const char **problem)
{
	for (int i = 0; i < signing->other_count; i++)
		if (signing->others[i].format->prepare != NULL &&
			!signing->others[i].format->prepare(signing->others[i].state, request, problem))
			return false;
	for (int i = 0; i < signing->other_count; i++)
		if (!signing->others[i].format->apply(signing->others[i].state, request, problem))
			return false;
	return true;
}
