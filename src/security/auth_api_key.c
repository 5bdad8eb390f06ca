/*-------------------------------------------------------------------------
 *
 * auth_api_key.c
 *	  {"type": "api_key", "in": "header", "name": "X-Api-Key", "secret": "crm"}:
 *	  a key in a header, in the query, or in a segment of the path.
 *
 * For the path, the endpoint's URL has a segment :name, such as
 * https://hooks.example.com/services/:token, which the value replaces.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/auth_scheme.h"

typedef enum Place
{
	IN_HEADER,
	IN_QUERY,
	IN_PATH
} Place;

typedef struct ApiKey
{
	Place		place;
	char	   *name;
	char	   *prefix;			/* before the value; "" if none */
	char	   *secret;
} ApiKey;

static const char *const keys[] = {"type", "in", "name", "prefix", "secret", NULL};

static void *
compile(Options *options)
{
	static const OptionChoice places[] = {
		{"header", IN_HEADER}, {"query", IN_QUERY}, {"path", IN_PATH}, {NULL, 0}
	};
	ApiKey	   *key = palloc0(sizeof(ApiKey));

	key->place = postrider_options_choice(options, "in", places, IN_HEADER);
	key->name = key->place == IN_HEADER ? postrider_options_text(options, "name", "X-Api-Key") :
		postrider_options_required_text(options, "name");
	key->prefix = postrider_options_text(options, "prefix", "");
	key->secret = postrider_options_required_secret(options, "secret");
	if (key->place == IN_HEADER)
		(void) postrider_options_check_header(options, key->name);
	return key;
}

static bool
fits_url(const void *state, const char *url, const char **problem)
{
	const ApiKey *key = state;
	AuthRequest request = {.url = url};

	if (key->place != IN_PATH || postrider_auth_set_segment(&request, key->name, "x"))
		return true;
	*problem = psprintf("puts a key into the path, but the url has no segment \"/:%s\"", key->name);
	return false;
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	const ApiKey *key = state;
	char	   *line = postrider_auth_secret_line(request, key->secret, problem);
	char	   *value;

	if (line == NULL)
		return false;
	value = psprintf("%s%s", key->prefix, line);
	switch (key->place)
	{
		case IN_HEADER:
			postrider_auth_set_header(request, key->name, value);
			break;
		case IN_QUERY:
			postrider_auth_set_parameter(request, key->name, value);
			postrider_auth_hide(request, postrider_auth_encode(line, ""));
			break;
		case IN_PATH:
			if (!postrider_auth_set_segment(request, key->name, value))
			{
				*problem = psprintf("the url has no segment \"/:%s\" for the key", key->name);
				return false;
			}
			postrider_auth_hide(request, postrider_auth_encode(line, POSTRIDER_SEGMENT_BYTES));
			break;
	}
	return true;
}

const AuthScheme postrider_auth_api_key = {
	.type = "api_key",
	.stage = AUTH_STAGE_ADD,
	.keys = keys,
	.compile = compile,
	.fits_url = fits_url,
	.apply = apply
};
