/*-------------------------------------------------------------------------
 *
 * credential.c
 *	  Descriptions of credentials, and the kinds that there are; see credential.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "security/credential.h"
#include "security/credential_kind.h"

/* Keys of auth: where it puts the value, not what the value is. */
static const char *const keys_of_auth[] = {"type", "header", "prefix"};

static const CredentialKind *const kinds[] = {
	&postrider_token_client_credentials,
	&postrider_token_refresh,
	&postrider_token_jwt_bearer,
	&postrider_store_vault,
	&postrider_store_vault_token,
	&postrider_store_aws,
	&postrider_store_azure,
	&postrider_store_file,
	&postrider_store_environment
};

static const CredentialKind *
find_kind(const char *name)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

bool
postrider_credential_kind_exists(const char *kind)
{
	return find_kind(kind) != NULL;
}

static bool
is_key_of_auth(const JsonbValue *key)
{
	for (int i = 0; i < (int) lengthof(keys_of_auth); i++)
		if (key->val.string.len == (int) strlen(keys_of_auth[i]) &&
			memcmp(key->val.string.val, keys_of_auth[i], key->val.string.len) == 0)
			return true;
	return false;
}

/* A copy without the keys of auth. */
static Jsonb *
strip(Jsonb *document)
{
	JsonbIterator *iterator = JsonbIteratorInit(&document->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	value;
	JsonbIteratorToken token;

	(void) JsonbIteratorNext(&iterator, &value, true);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) == WJB_KEY)
	{
		bool		skipped = is_key_of_auth(&value);

		if (!skipped)
			(void) pushJsonbValue(&state, WJB_KEY, &value);
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (!skipped)
			(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(result);
}

/* jsonb has one form for equal documents, so its text has too. */
static bool
make_id(const CredentialSpec *spec, char id[CREDENTIAL_ID_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int length;
	char	   *whole = psprintf("%s\n%s", spec->kind->name,
								JsonbToCString(NULL, &spec->document->root,
											   VARSIZE(spec->document)));

	if (!EVP_Digest(whole, strlen(whole), digest, &length, EVP_sha256(), NULL))
		return false;
	for (unsigned int i = 0; i < length; i++)
		snprintf(id + 2 * i, 3, "%02x", digest[i]);
	pfree(whole);
	return true;
}

CredentialSpec *
postrider_credential_compile(const char *kind, Jsonb *document, List **urls,
							 const char **problem, const char **hint)
{
	CredentialSpec *spec = palloc0(sizeof(CredentialSpec));
	List	   *asked = NIL;

	*problem = *hint = NULL;
	spec->kind = find_kind(kind);
	if (spec->kind == NULL || !JB_ROOT_IS_OBJECT(document))
	{
		*problem = spec->kind ? pstrdup("is not an object") :
			psprintf("is of an unknown kind \"%s\"", kind);
		return NULL;
	}
	spec->document = strip(document);
	if (!spec->kind->compile(spec, &asked, problem, hint))
		return NULL;
	if (!make_id(spec, spec->id))
	{
		*problem = pstrdup("could not be hashed");
		return NULL;
	}
	if (urls != NULL)
		*urls = list_concat(*urls, asked);
	return spec;
}
