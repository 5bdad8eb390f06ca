/*-------------------------------------------------------------------------
 *
 * secret_rotate.c
 *	  Changing the key that encrypts secrets: postrider.rotate_key() and
 *	  postrider.drop_old_keys().
 *
 * A file cannot be replaced in a transaction.  So the file has more than one key, and
 * it changes in steps after each of which everything can be read:
 *
 *	1. a new key comes before the old ones, in the file, on disk
 *	2. all values are encrypted with it, in one transaction
 *	3. the old keys go, later, when a person says so
 *
 * If the transaction of step 2 fails, or the server crashes, the values still are under
 * the old key, which is there; the next call goes on with step 2.  What is stored
 * meanwhile is under the new key.  Whoever stores a value locks the table of versions
 * before reading the key, and we lock it before we read or change the keys: so no value
 * comes under the old key behind our back.  Workers read the rows, then the
 * keys (secret_load.c), and so find the key of each row.
 *
 * Step 3 is not done here, although it could be after the commit: the file serves all
 * databases of the server; standby servers have copies of it, and what they replay
 * may be old; and a dump that was made before needs the old key.
 *
 * With postrider.key_command a person does steps 1 and 3 where the command has
 * the keys from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "security/key_file.h"
#include "security/key_ring.h"
#include "security/secret.h"
#include "storage/lock.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(postrider_rotate_key);
PG_FUNCTION_INFO_V1(postrider_drop_keys);

/* Of an advisory lock for all databases: there is one file. */
#define ROTATION_LOCK_1 0x706f7374	/* post */
#define ROTATION_LOCK_2 0x72696465	/* ride */

/* A table with ciphertexts. */
typedef struct SealedTable
{
	const char *kind;			/* of its labels */
	bool		needed;			/* no value may be lost; others are fetched again */
	SqlStatement lock;
	SqlStatement select;		/* name, version, ciphertext */
	SqlStatement update;		/* of that name and version, to a ciphertext */
} SealedTable;

static SealedTable tables[] = {
	{
		.kind = "secret",
		.needed = true,
		.lock = {
			.text = "lock table postrider.secret_version in share row exclusive mode"
		},
		.select = {
			.text =
			"select v.name, v.version, v.ciphertext from postrider.secret_version v"
			" order by v.name, v.version"
		},
		.update = {
			.text =
			"update postrider.secret_version set ciphertext = $3"
			" where name = $1 and version = $2",
			.argument_count = 3,
			.argument_types = {TEXTOID, INT4OID, BYTEAOID}
		}
	},
	{
		.kind = "credential",
		.needed = false,
		.lock = {
			.text = "lock table postrider.credential in share row exclusive mode"
		},
		.select = {
			.text =
			"select c.id, 0, c.ciphertext from postrider.credential c"
			" where c.ciphertext is not null order by c.id"
		},
		.update = {
			.text =
			"update postrider.credential set ciphertext = $3, revision = revision + 1"
			" where id = $1 and $2 = 0",
			.argument_count = 3,
			.argument_types = {TEXTOID, INT4OID, BYTEAOID}
		}
	}
};

/* One value. */
typedef struct SealedValue
{
	SealedTable *table;
	SecretLabel label;
	bytea	   *ciphertext;
} SealedValue;

/* Until the end of the transaction. */
static void
lock_keys(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, InvalidOid, ROTATION_LOCK_1, ROTATION_LOCK_2, 3);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

static void
refuse(const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("%s", reason)));
}

static void
lock_tables(void)
{
	for (int i = 0; i < (int) lengthof(tables); i++)
		(void) postrider_sql_run(&tables[i].lock, NULL, NULL, 0);
	lock_keys();
}

static SealedValue *
read_value(SealedTable *table, uint64 row)
{
	SealedValue *value = palloc(sizeof(SealedValue));
	bool		isnull;

	value->table = table;
	value->label.kind = table->kind;
	value->label.name = postrider_sql_text(row, 0, CurrentMemoryContext);
	value->label.version = postrider_sql_int32(row, 1);
	value->ciphertext = DatumGetByteaPCopy(postrider_sql_datum(row, 2, &isnull));
	return value;
}

/* All values, and the number of those that are needed and not under the current key. */
static List *
read_values(const KeyRing *ring, int64 *old_count)
{
	List	   *values = NIL;

	*old_count = 0;
	for (int i = 0; i < (int) lengthof(tables); i++)
	{
		uint64		count = postrider_sql_run(&tables[i].select, NULL, NULL, 0);

		for (uint64 row = 0; row < count; row++)
		{
			SealedValue *value = read_value(&tables[i], row);

			values = lappend(values, value);
			if (tables[i].needed && !postrider_secret_is_current(ring, value->ciphertext))
				(*old_count)++;
		}
	}
	return values;
}

/* Step 1, unless it has been done, by a call that was cut short or in another database. */
static void
add_key(KeyRing *ring, int64 old_count)
{
	char	   *reason;

	if (old_count > 0)
		return;
	if (postrider_key_ring_is_command())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("all secrets are encrypted with the first key of postrider.key_command already"),
				 errhint("Have the command print a new key before the old one, SELECT pg_reload_conf(), and call rotate_key() again.")));
	if (!postrider_key_ring_add(ring, &reason) || !postrider_key_file_replace(ring, &reason))
		refuse(reason);
}

/* NULL if it cannot be read and is not needed. */
static char *
open_value(const KeyRing *ring, const SealedValue *sealed, Size *length)
{
	char	   *reason;
	char	   *value = postrider_secret_open(ring, &sealed->label, sealed->ciphertext,
											  length, NULL, &reason);

	if (value == NULL && sealed->table->needed)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("%s \"%s\" cannot be read: %s", sealed->label.kind,
						sealed->label.name, reason),
				 errhint("Bring back its key, or set or drop the secret. Nothing has been changed.")));
	return value;
}

/* Step 2 for one value, unless it only is to be tried. */
static void
rotate_value(const KeyRing *ring, const SealedValue *sealed, bool try_only)
{
	Datum		values[] = {
		CStringGetTextDatum(sealed->label.name),
		Int32GetDatum(sealed->label.version),
		(Datum) 0
	};
	Size		length;
	char	   *value = open_value(ring, sealed, &length);

	if (value == NULL)
		return;
	if (!try_only)
		values[2] = PointerGetDatum(postrider_secret_seal(ring, &sealed->label, value, length));
	explicit_bzero(value, length);
	if (!try_only)
		(void) postrider_sql_run(&sealed->table->update, values, NULL, 0);
}

static void
rotate_values(const KeyRing *ring, const List *values, bool try_only)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "key rotation",
												  ALLOCSET_DEFAULT_SIZES);
	ListCell   *cell;

	foreach(cell, values)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		rotate_value(ring, lfirst(cell), try_only);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

/* Returns how many values were encrypted anew. */
static int64
rotate(KeyRing *ring)
{
	char	   *reason;
	int64		old_count;
	List	   *values;

	if (!postrider_key_ring_is_command() && !postrider_key_file_exists())
		postrider_secret_require_keys(ring);	/* makes it */
	if (!postrider_key_ring_read_again(ring, &reason))
		refuse(reason);
	values = read_values(ring, &old_count);
	rotate_values(ring, values, true);
	add_key(ring, old_count);
	rotate_values(ring, values, false);
	return list_length(values);
}

/* SQL: postrider.rotate_key() */
Datum
postrider_rotate_key(PG_FUNCTION_ARGS)
{
	KeyRing		ring = {0};
	volatile int64 count = 0;
	volatile int old_keys = 0;
	SqlScope	sql;
	LogLine		line;

	PreventCommandIfReadOnly("rotate_key()");
	postrider_sql_enter(&sql);
	lock_tables();
	PG_TRY();
	{
		count = rotate(&ring);
		old_keys = ring.count - 1;
	}
	PG_FINALLY();
	{
		postrider_key_ring_wipe(&ring);
	}
	PG_END_TRY();
	postrider_sql_leave(&sql);
	ForceSyncCommit();
	postrider_log_begin(&line, LOG, "key_rotated");
	postrider_log_int(&line, "values", count);
	postrider_log_int(&line, "old_keys", old_keys);
	postrider_log_end(&line);
	if (old_keys > 0)
		ereport(NOTICE,
				(errmsg("the old key stays beside the new one"),
				 errdetail("Other databases of this server, standby servers and earlier dumps may need it."),
				 errhint("Call rotate_key() in every database that has postrider, copy the keys to the standby servers, then SELECT postrider.drop_old_keys().")));
	PG_RETURN_INT64(count);
}

/* SQL: postrider.drop_keys(): all but the current one; returns how many went. */
Datum
postrider_drop_keys(PG_FUNCTION_ARGS)
{
	KeyRing		ring = {0};
	char	   *reason;
	int			dropped;
	bool		done = true;
	int64		old_count;
	SqlScope	sql;

	PreventCommandIfReadOnly("drop_old_keys()");
	if (postrider_key_ring_is_command())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the keys are those that postrider.key_command prints"),
				 errhint("Take the old ones away there.")));
	postrider_sql_enter(&sql);
	lock_tables();
	if (!postrider_key_file_read(&ring, &reason))
		refuse(reason);
	(void) read_values(&ring, &old_count);
	dropped = ring.count - 1;
	ring.count = 1;
	if (old_count == 0 && dropped > 0)
		done = postrider_key_file_replace(&ring, &reason);
	postrider_key_ring_wipe(&ring);
	postrider_sql_leave(&sql);
	if (old_count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("secrets are still encrypted with an old key"),
				 errhint("SELECT postrider.rotate_key();")));
	if (!done)
		refuse(reason);
	PG_RETURN_INT32(dropped);
}
