/*-------------------------------------------------------------------------
 *
 * seed.c
 *	  Moving the id clock above every id that a database holds.
 *
 * The clock lives in shared memory and is gone with the server.  If the
 * machine's clock stood an hour back at the next start, new ids would lie
 * below old ones: below the dispatch cursor's floor, so that the messages
 * would never be found.  So before a process takes its first id, it moves the
 * clock above what is on disk: the newest message, the cursor's floors and
 * the subscriptions' lower bounds.  That is one index probe per partition,
 * once per process; afterwards the clock can only have grown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/seed.h"
#include "util/id.h"
#include "util/sql.h"

static SqlStatement newest_id = {
	.text =
	"select i.id from ("
	" (select m.id from postrider.message m order by m.id desc limit 1)"
	" union all select c.floor_id from postrider.dispatch_cursor c"
	" union all select c.window_floor_id from postrider.dispatch_cursor c"
	" union all select s.after_id from postrider.subscription s) i "
	"where i.id is not null "
	"order by i.id desc limit 1"
};

void
postrider_seed_clock(void)
{
	static bool seeded = false;
	SqlScope	scope;

	if (seeded)
		return;
	postrider_sql_enter(&scope);
	if (postrider_sql_run(&newest_id, NULL, NULL, 1) > 0)
	{
		pg_uuid_t	id = postrider_sql_uuid(0, 0);

		postrider_id_advance(&id);
	}
	postrider_sql_leave(&scope);
	seeded = true;
}
