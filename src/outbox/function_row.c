/*-------------------------------------------------------------------------
 *
 * function_row.c
 *	  Endpoints that are SQL functions: what their rows say, and who may say it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "outbox/function_row.h"
#include "util/compat.h"
#include "util/sql.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* What only a request over the network has. */
static const struct
{
	const char *column;
	Oid			type;
}			network_columns[] = {
	{"headers", JSONBOID},
	{"signing_secret", TEXTOID},
	{"reply_topic", TEXTOID},
	{"batch_size", INT4OID},
	{"format", TEXTOID},
	{"body_template", TEXTOID},
	{"content_type", TEXTOID},
	{"idempotency_key", TEXTOID},
	{"proxy", TEXTOID},
	{"response_rules", JSONBOID}
};

const char *
postrider_function_of_url(const char *url)
{
	Size		length = strlen(FUNCTION_URL_PREFIX);

	return strncmp(url, FUNCTION_URL_PREFIX, length) == 0 ? url + length : NULL;
}

static Oid
message_type(void)
{
	Oid			schema = get_namespace_oid("postrider", true);

	return OidIsValid(schema) ? get_rel_type_id(get_relname_relid("message", schema)) : InvalidOid;
}

static void
require_kind(Form_pg_proc form, const char *function)
{
	if (form->prokind == PROKIND_FUNCTION && !form->proretset &&
		form->prorettype != TRIGGEROID && form->prorettype != EVENT_TRIGGEROID &&
		form->pronargs == 1 && form->proargtypes.values[0] == message_type())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("function %s cannot be called for a message", function),
			 errhint("Write CREATE FUNCTION ...(message postrider.message) RETURNS void ..., with this one argument.")));
}

Oid
postrider_function_require(const char *function, Oid role)
{
	Oid			id = DatumGetObjectId(DirectFunctionCall1(regprocedurein,
														  CStringGetDatum(function)));
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(id));
	Form_pg_proc form;
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s does not exist", function)));
	form = (Form_pg_proc) GETSTRUCT(tuple);
	require_kind(form, function);
	owner = form->proowner;
	ReleaseSysCache(tuple);

	if (!PostriderMayExecute(id, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", function),
				 errdetail("Role \"%s\" is to run it.", GetUserNameFromId(role, false)),
				 errhint("Run GRANT EXECUTE ON FUNCTION %s TO %s.", function,
						 quote_identifier(GetUserNameFromId(role, false)))));
	if (superuser_arg(role) && !superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("a superuser cannot run function %s of role \"%s\" for messages",
						function, GetUserNameFromId(owner, false)),
				 errdetail("Its owner could have anything done as superuser."),
				 errhint("Register it as a role that is no superuser: SET ROLE %s, then postrider.on_message().",
						 quote_identifier(GetUserNameFromId(owner, false)))));
	return id;
}

/* With search_path pinned, as the worker will have it. */
static void
require_function(const TriggerRow *row, const char *function, Oid role)
{
	int			level = NewGUCNestLevel();

	if (strlen(function) > 1000)
		postrider_trigger_refuse(row, "url", "is too long for a function", NULL);
	postrider_sql_pin_search_path();
	(void) postrider_function_require(function, role);
	AtEOXact_GUC(false, level);
}

static void
refuse_network_columns(const TriggerRow *row)
{
	for (Size i = 0; i < lengthof(network_columns); i++)
	{
		bool		isnull;

		(void) postrider_trigger_get(row, row->tuple, network_columns[i].column,
									 network_columns[i].type, &isnull);
		if (!isnull)
			postrider_trigger_refuse(row, network_columns[i].column,
									 "has no meaning for a function",
									 "The function gets the message, and can emit messages itself.");
	}
}

/* The role of the row must be one that the user could become. */
static Oid
require_role(const char *name)
{
	Oid			role = get_role_oid(name, false);

	if (!PostriderMayBecome(GetUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to have a function run as role \"%s\"", name),
				 errdetail("Role \"%s\" is not a member of it.",
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("Leave run_as out, or have that role register the function.")));
	return role;
}

HeapTuple
postrider_function_row_require(TriggerRow *row)
{
	char	   *url = postrider_trigger_text(row, row->tuple, "url");
	char	   *run_as = postrider_trigger_text(row, row->tuple, "run_as");
	const char *function = url ? postrider_function_of_url(url) : NULL;
	int			column = postrider_trigger_column(row, "run_as", TEXTOID);
	Datum		value;
	bool		isnull = false;

	if (url == NULL)
		return row->tuple;
	if (function == NULL)
	{
		if (run_as != NULL)
			postrider_trigger_refuse(row, "run_as", "has no meaning for a URL",
									 "It is for endpoints that are functions: postrider.on_message().");
		return row->tuple;
	}
	refuse_network_columns(row);
	if (run_as == NULL)
	{
		run_as = GetUserNameFromId(GetUserId(), false);
		value = CStringGetTextDatum(run_as);
		row->tuple = heap_modify_tuple_by_cols(row->tuple, row->desc, 1, &column,
											   &value, &isnull);
	}
	if (!postrider_trigger_changed(row, "url", TEXTOID) &&
		!postrider_trigger_changed(row, "run_as", TEXTOID))
		return row->tuple;

	/* A dump is restored: what is missing may come yet; each call looks again. */
	if (!check_function_bodies && superuser())
		return row->tuple;
	require_function(row, function, require_role(run_as));
	return row->tuple;
}

void
postrider_function_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint)
{
	const char *function = postrider_function_of_url(endpoint->url);
	bool		isnull;
	Datum		value;

	if (function == NULL)
		return;
	value = heap_getattr(tuple, SPI_fnumber(desc, "run_as"), desc, &isnull);
	endpoint->function = pstrdup(function);
	endpoint->run_as = isnull ? pstrdup("") : TextDatumGetCString(value);
	endpoint->policy.max_in_flight = 1;	/* calls are made one after the other */
}
