/*-------------------------------------------------------------------------
 *
 * public_key.c
 *	  The public key of a secret, for receivers: postrider.public_key().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "outbox/secret_check.h"
#include "security/ed25519.h"
#include "util/sql.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(postrider_public_key);

static SqlStatement find_secret = {
	.text =
	"select s.name from postrider.secret s"
	" where s.name operator(pg_catalog.=) $1 and postrider.sees_tenant(s.tenant)",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/* The newest value; ereport(ERROR) if there is none. */
static char *
read_value(const char *name)
{
	Datum		argument = CStringGetTextDatum(name);
	MemoryContext context = CurrentMemoryContext;
	SqlScope	sql;
	bool		exists;
	char	   *found;
	char	   *value = NULL;

	postrider_sql_enter(&sql);
	exists = postrider_sql_run(&find_secret, &argument, NULL, 1) > 0;
	found = exists ? postrider_secret_read_newest(name) : NULL;
	if (found != NULL)
	{
		value = MemoryContextStrdup(context, found);
		explicit_bzero(found, strlen(found));
	}
	postrider_sql_leave(&sql);
	if (!exists)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("secret \"%s\" does not exist", name)));
	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("secret \"%s\" cannot be read here", name),
				 errdetail("Its value is in a store outside of the database, or encrypted with another key.")));
	return value;
}

/* SQL: postrider.public_key(name) */
Datum
postrider_public_key(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *value = read_value(name);
	char	   *reason = NULL;
	char	   *public = NULL;
	Ed25519Key *key = postrider_ed25519_read(value, &reason);

	explicit_bzero(value, strlen(value));
	if (key != NULL)
		public = postrider_ed25519_public(key);
	postrider_ed25519_free(key);
	if (public == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret \"%s\" has no public key", name),
				 errdetail("Reason: %s.", reason ? reason : "the key cannot be used"),
				 errhint("Keys with a public part are " ED25519_PREFIX " and base64, or a private key of ed25519 in PEM.")));
	PG_RETURN_TEXT_P(cstring_to_text(public));
}
