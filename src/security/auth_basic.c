/*-------------------------------------------------------------------------
 *
 * auth_basic.c
 *	  {"type": "basic", "username": "shop", "password": "crm"}: RFC 7617.
 *
 * The password is the name of a secret; "username_secret" is that of a secret with
 * the user name, where the key is what goes there (Stripe, Mailchimp).  Without a
 * password it is empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/auth_scheme.h"
#include "security/digest.h"

typedef struct Basic
{
	char	   *username;		/* or NULL: */
	char	   *username_secret;
	char	   *password;		/* a secret's name; NULL: empty */
} Basic;

static const char *const keys[] = {"type", "username", "username_secret", "password", NULL};

static void *
compile(Options *options)
{
	Basic	   *basic = palloc0(sizeof(Basic));

	basic->username = postrider_options_text(options, "username", NULL);
	basic->username_secret = postrider_options_secret(options, "username_secret");
	basic->password = postrider_options_secret(options, "password");
	if ((basic->username == NULL) == (basic->username_secret == NULL))
		(void) postrider_options_refuse(options, "username is text, username_secret and password are names of secrets.",
										"needs either a \"username\" or a \"username_secret\"");
	if (basic->password == NULL && basic->username_secret == NULL)
		(void) postrider_options_refuse(options, "Store the value with postrider.set_secret(), and write its name here.",
										"needs a \"password\", the name of a secret");
	if (basic->username != NULL)
		for (const char *c = basic->username; *c; c++)
			if (*c == ':' || (unsigned char) *c < ' ' || *c == 0x7f)
				(void) postrider_options_refuse(options, NULL, "has a \"username\" with a colon or a control character in it");
	return basic;
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	const Basic *basic = state;
	char	   *username = basic->username;
	char	   *password = "";
	char	   *pair;
	char	   *encoded;

	if (username == NULL)
		username = postrider_auth_secret_line(request, basic->username_secret, problem);
	if (username != NULL && basic->password != NULL)
		password = postrider_auth_secret_line(request, basic->password, problem);
	if (username == NULL || password == NULL)
		return false;
	if (strchr(username, ':') != NULL)
	{
		*problem = psprintf("secret \"%s\" has a colon in it, which a user name cannot have",
							basic->username_secret);
		return false;
	}
	pair = psprintf("%s:%s", username, password);
	encoded = postrider_digest_encode(DIGEST_BASE64, pair, strlen(pair));
	explicit_bzero(pair, strlen(pair));
	postrider_auth_set_header(request, "Authorization", psprintf("Basic %s", encoded));
	postrider_auth_hide(request, encoded);
	return true;
}

const AuthScheme postrider_auth_basic = {
	.type = "basic",
	.stage = AUTH_STAGE_ADD,
	.keys = keys,
	.compile = compile,
	.apply = apply
};
