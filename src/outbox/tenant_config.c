/*-------------------------------------------------------------------------
 *
 * tenant_config.c
 *	  The limits of tenants in a worker's memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/tenant_config.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

static SqlStatement select_tenants = {
	.text =
	"select t.name, t.rate_limits, t.message_limits, t.max_payload_bytes from postrider.tenant t"
	" where t.rate_limits is not null or t.message_limits is not null"
};

typedef struct TenantEntry
{
	char		name[TENANT_MAX_NAME_BYTES + 1];	/* hash key */
	TenantLimits limits;
} TenantEntry;

static HTAB *tenants = NULL;

static void
load_row(uint64 row)
{
	TupleDesc	desc;
	HeapTuple	tuple = postrider_sql_row(row, &desc);
	char	   *name = postrider_sql_text(row, 0, CurrentMemoryContext);
	TenantLimits limits;
	PolicyProblem problem;
	TenantEntry *entry;

	/* Only if the trigger was disabled. */
	if (!postrider_tenant_row_read(tuple, desc, &limits, &problem))
	{
		LogLine		line;

		postrider_log_begin(&line, WARNING, "tenant_misconfigured");
		postrider_log_text(&line, "tenant", name);
		postrider_log_text(&line, "column", problem.column);
		postrider_log_text(&line, "error", problem.problem);
		postrider_log_message(&line, "the tenant has no limits");
		postrider_log_end(&line);
		return;
	}
	entry = hash_search(tenants, name, HASH_ENTER, NULL);
	entry->limits = limits;
}

void
postrider_tenant_config_load(void)
{
	HASHCTL		control = {
		.keysize = TENANT_MAX_NAME_BYTES + 1,
		.entrysize = sizeof(TenantEntry),
		.hcxt = TopMemoryContext
	};
	uint64		count = postrider_sql_run(&select_tenants, NULL, NULL, 0);

	if (tenants != NULL)
		hash_destroy(tenants);
	tenants = hash_create("postrider tenants", 64, &control,
						  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (uint64 row = 0; row < count; row++)
		load_row(row);
}

const TenantLimits *
postrider_tenant_config(const char *name)
{
	TenantEntry *entry;

	if (name == NULL || strlen(name) > TENANT_MAX_NAME_BYTES)
		return NULL;
	entry = hash_search(tenants, name, HASH_FIND, NULL);
	return entry ? &entry->limits : NULL;
}

void
postrider_tenant_config_messages(TenantCallback callback, void *arg)
{
	HASH_SEQ_STATUS scan;
	TenantEntry *entry;

	hash_seq_init(&scan, tenants);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->limits.messages.count > 0)
			callback(entry->name, &entry->limits, arg);
}
