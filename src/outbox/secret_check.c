/*-------------------------------------------------------------------------
 *
 * secret_check.c
 *	  Does a secret fit what it is used for?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/secret_check.h"
#include "security/key_ring.h"
#include "security/secret.h"
#include "util/sql.h"
#include "utils/builtins.h"

static SqlStatement select_newest = {
	.text =
	"select v.version, v.ciphertext from postrider.secret_version v"
	" where v.name = $1 and v.retires_at is null",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement find_signer = {
	.text = "select e.name from postrider.endpoint e where e.signing_secret = $1 limit 1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

char *
postrider_secret_read_newest(const char *name)
{
	Datum		value = CStringGetTextDatum(name);
	SecretLabel label = {.kind = "secret", .name = name};
	KeyRing		ring;
	char	   *reason;
	char	   *result;
	bool		isnull;

	if (postrider_sql_run(&select_newest, &value, NULL, 1) == 0 ||
		!postrider_key_ring_read(&ring, &reason))
		return NULL;
	label.version = postrider_sql_int32(0, 0);
	value = postrider_sql_datum(0, 1, &isnull);
	result = postrider_secret_open(&ring, &label, DatumGetByteaPP(value), NULL, NULL, &reason);
	postrider_key_ring_wipe(&ring);
	return result;
}

void
postrider_secret_check_endpoint(const TriggerRow *row)
{
	char	   *name = postrider_trigger_new_text(row, "signing_secret");
	bool		fits;
	char	   *value;
	SqlScope	sql;

	if (name == NULL)
		return;
	postrider_sql_enter(&sql);
	value = postrider_secret_read_newest(name);
	fits = value == NULL || postrider_secret_has_signing_prefix(value);
	if (value != NULL)
		explicit_bzero(value, strlen(value));
	postrider_sql_leave(&sql);
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret \"%s\" of endpoint \"%s\" is no signing secret", name,
						row->endpoint),
				 errdetail("Its value does not begin with whsec_ or whsk_."),
				 errhint("Make one: SELECT postrider.set_secret('name'); a key for an API belongs into the column auth.")));
}

void
postrider_secret_check_value(const char *name, const char *value)
{
	Datum		key = CStringGetTextDatum(name);
	char	   *endpoint = NULL;
	MemoryContext context = CurrentMemoryContext;
	SqlScope	sql;

	if (postrider_secret_has_signing_prefix(value))
		return;
	postrider_sql_enter(&sql);
	if (postrider_sql_run(&find_signer, &key, NULL, 1) > 0)
		endpoint = postrider_sql_text(0, 0, context);
	postrider_sql_leave(&sql);
	if (endpoint != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value for secret \"%s\" is not a signing secret", name),
				 errdetail("It signs the requests to endpoint \"%s\".", endpoint),
				 errhint("Leave the value out to have a random one made, or store it under another name.")));
}
