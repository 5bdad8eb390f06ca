/*-------------------------------------------------------------------------
 *
 * auth_bearer.c
 *	  {"type": "bearer", "secret": "crm"}: a token that does not end, as
 *	  Authorization: Bearer, or as "header" and "prefix" say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/auth_scheme.h"

typedef struct Bearer
{
	char	   *header;
	char	   *prefix;			/* with the space at its end */
	char	   *secret;
} Bearer;

static const char *const keys[] = {"type", "secret", "header", "prefix", NULL};

static void *
compile(Options *options)
{
	Bearer	   *bearer = palloc0(sizeof(Bearer));

	bearer->header = postrider_options_text(options, "header", "Authorization");
	bearer->prefix = postrider_options_text(options, "prefix", "Bearer ");
	bearer->secret = postrider_options_required_secret(options, "secret");
	(void) postrider_options_check_header(options, bearer->header);
	return bearer;
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	const Bearer *bearer = state;
	char	   *token = postrider_auth_secret_line(request, bearer->secret, problem);

	if (token == NULL)
		return false;
	postrider_auth_set_header(request, bearer->header, psprintf("%s%s", bearer->prefix, token));
	return true;
}

const AuthScheme postrider_auth_bearer = {
	.type = "bearer",
	.stage = AUTH_STAGE_ADD,
	.keys = keys,
	.compile = compile,
	.apply = apply
};
