/*-------------------------------------------------------------------------
 *
 * endpoint.c
 *	  Looking up endpoints for postrider.send().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/endpoint.h"
#include "util/sql.h"
#include "utils/builtins.h"

static SqlStatement find_endpoint = {
	.text =
	"select e.tenant is null or e.tenant is not distinct from $2"
	" from postrider.endpoint e where e.name = $1 and postrider.sees_tenant(e.tenant)",
	.argument_count = 2,
	.argument_types = {TEXTOID, TEXTOID}
};

void
postrider_endpoint_require(text *name, text *tenant)
{
	Datum		values[] = {PointerGetDatum(name), PointerGetDatum(tenant)};
	SqlScope	scope;

	postrider_sql_enter(&scope);
	if (postrider_sql_run(&find_endpoint, values, tenant ? "  " : " n", 1) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("endpoint \"%s\" does not exist", text_to_cstring(name)),
				 errhint("Run INSERT INTO postrider.endpoint (name, url) VALUES (...).")));
	if (!postrider_sql_bool(0, 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("endpoint \"%s\" belongs to another tenant",
						text_to_cstring(name))));
	postrider_sql_leave(&scope);
}
