/*-------------------------------------------------------------------------
 *
 * secret_load.c
 *	  Loads the secrets into a worker's memory.
 *
 * The rows are read before the keys: postrider.rotate_key() puts a new key where the
 * keys are before it commits rows that need it, so whoever sees such a row finds its
 * key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/secret_load.h"
#include "security/key_ring.h"
#include "security/secret.h"
#include "security/secret_set.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/timestamp.h"

static SqlStatement select_secrets = {
	.text =
	"select s.name, s.expires_at, s.source, v.version, v.retires_at, v.ciphertext"
	" from postrider.secret s left join postrider.secret_version v on v.name = s.name"
	" order by s.name, v.version desc"
};

/* The keys, once for a load. */
typedef struct LoadKeys
{
	KeyRing		ring;
	bool		tried;
	bool		again;			/* the newest there are */
	char	   *problem;		/* why there are none; or NULL */
	int			unreadable;		/* values so far */
} LoadKeys;

/* Warnings of one load. */
#define MAX_WARNINGS 10

static TimestampTz
time_at(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? DT_NOEND : DatumGetTimestampTz(value);
}

/* The value of a row, or NULL with the reason. */
static char *
open_value(LoadKeys *keys, const SecretLabel *label, bytea *ciphertext, Size *length,
		   char **reason)
{
	char	   *value;
	int			key_number;

	if (!keys->tried && !postrider_key_ring_read(&keys->ring, &keys->problem))
		keys->ring.count = 0;
	keys->tried = true;
	*reason = keys->problem;
	if (keys->ring.count == 0)
		return NULL;
	value = postrider_secret_open(&keys->ring, label, ciphertext, length, &key_number, reason);
	if (value != NULL || key_number >= 0 || keys->again)
		return value;

	/* A key may have come while we had the old ones in memory. */
	keys->again = true;
	if (!postrider_key_ring_read_again(&keys->ring, &keys->problem))
	{
		keys->ring.count = 0;
		*reason = keys->problem;
		return NULL;
	}
	return postrider_secret_open(&keys->ring, label, ciphertext, length, NULL, reason);
}

static void
log_unreadable(const char *name, const char *problem, int values)
{
	LogLine		line;

	postrider_log_begin(&line, WARNING, "secret_unreadable");
	postrider_log_text(&line, "secret", name);
	postrider_log_int(&line, "values", values);
	postrider_log_text(&line, "message", problem);
	postrider_log_end(&line);
}

static void
add_version(uint64 row, const char *name, LoadKeys *keys)
{
	SecretLabel label = {
		.kind = "secret", .name = name, .version = postrider_sql_int32(row, 3)
	};
	bool		isnull;
	Datum		ciphertext = postrider_sql_datum(row, 5, &isnull);
	char	   *reason;
	char	   *value;
	Size		length;

	if (isnull)
		return;
	value = open_value(keys, &label, DatumGetByteaPP(ciphertext), &length, &reason);
	if (value == NULL)
	{
		char	   *problem = psprintf("secret \"%s\" cannot be read: %s", name, reason);

		if (keys->unreadable++ < (keys->problem ? 1 : MAX_WARNINGS))
			log_unreadable(name, problem, 1);
		postrider_secret_set_add_problem(problem);
		return;
	}
	postrider_secret_set_add_version(label.version, time_at(row, 4), value, length);
	explicit_bzero(value, length);
	pfree(value);
}

void
postrider_secret_load(void)
{
	uint64		count = postrider_sql_run(&select_secrets, NULL, NULL, 0);
	LoadKeys	keys = {.tried = false};
	char	   *last = NULL;

	postrider_secret_set_begin();
	for (uint64 row = 0; row < count; row++)
	{
		char	   *name = postrider_sql_text(row, 0, CurrentMemoryContext);

		if (last == NULL || strcmp(last, name) != 0)
			postrider_secret_set_add(name, time_at(row, 1), postrider_sql_jsonb(row, 2));
		last = name;
		add_version(row, name, &keys);
	}
	if (keys.unreadable > 1)
		log_unreadable(NULL, NULL, keys.unreadable);
	postrider_key_ring_wipe(&keys.ring);
	postrider_secret_set_finish();
}
