/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Shared memory: the id clock, the state of the configuration, and one
 *	  slot for each worker that should run.
 *
 * The slot table is the list of workers that are wanted.  Anybody may claim a
 * free slot for a database (state SLOT_WANTED) and set the launcher's latch;
 * only the launcher starts workers; a worker that has attached to its slot
 * alone writes its counters.  Everything in a slot but the counters and
 * everything marked so in PostriderShared is protected by the lock.  A latch
 * in a slot is set only while the lock is held, so that its owner cannot
 * be gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SHMEM_H
#define POSTRIDER_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "delivery/lane.h"
#include "outbox/stats.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define POSTRIDER_ERROR_SIZE 256

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_WANTED,				/* to be started at start_after */
	SLOT_STARTING,				/* registered with the postmaster */
	SLOT_RUNNING				/* attached */
} SlotState;

/* What a worker has done since it started; written by it alone. */
typedef struct WorkerCounters
{
	pg_atomic_uint64 messages_read;
	pg_atomic_uint64 delivered;
	pg_atomic_uint64 retried;
	pg_atomic_uint64 dead;
	pg_atomic_uint32 queued;	/* deliveries in memory, not in flight */
	pg_atomic_uint32 in_flight;
	pg_atomic_uint32 turns;		/* of the network: odd within one; see wake.c */
	pg_atomic_uint64 memory_bytes;	/* of its memory contexts */
	pg_atomic_uint32 loop_us;	/* a turn of the loop, on average */
	pg_atomic_uint32 loop_max_us;	/* the longest of the last minute or two */
	pg_atomic_uint64 turn_started;	/* TimestampTz of the turn that goes on; or 0 */
	pg_atomic_uint32 caught_up; /* it had read all when its last turn ended */
} WorkerCounters;

extern void postrider_counters_init(WorkerCounters *counters);

typedef struct WorkerSlot
{
	SlotState	state;
	uint32		generation;		/* goes up with every start */
	Oid			database;
	int			shard;
	int			shards;			/* in force; set by the launcher at the start */
	pid_t		pid;			/* 0 unless SLOT_RUNNING */
	Latch	   *latch;			/* NULL unless SLOT_RUNNING */
	bool		stop;			/* the worker was asked to go */
	pid_t		held_by;		/* backend that needs the database for itself:
								 * no start while it lives */
	int			failures;		/* ends in error in a row */
	int64		starts;			/* of workers that attached */
	TimestampTz start_after;	/* for SLOT_WANTED */
	TimestampTz state_since;
	char		last_error[POSTRIDER_ERROR_SIZE];	/* "" if none */
	TimestampTz last_error_at;
	WorkerCounters counters;
} WorkerSlot;

/* Long work that a session does; see progress.c.  Protected by the lock. */
#define POSTRIDER_MAX_PROGRESS 32

typedef struct ProgressEntry
{
	pid_t		pid;			/* 0: free */
	Oid			database;
	char		command[32];
	char		target[NAMEDATALEN];
	TimestampTz since;			/* the time that is worked through */
	TimestampTz until;
	TimestampTz reached;
	int64		messages;		/* looked at */
	int64		deliveries;		/* made */
	TimestampTz started_at;
} ProgressEntry;

/*
 * Rates that endpoints share, rates of tenants and of their messages; see
 * rate_group.c.  A slot takes 1.6 kB.
 */
#define POSTRIDER_MAX_RATE_GROUPS 4096

typedef struct RateGroupSlot
{
	Oid			database;		/* InvalidOid: free */
	int			scope;			/* a RateScope */
	char		name[POLICY_MAX_GROUP_BYTES + 1];
	TimestampTz used_at;		/* when somebody said so last */
	RateGroup	group;
} RateGroupSlot;

/* How an endpoint stands; see health.c.  Protected by the lock. */
#define POSTRIDER_MAX_HEALTH 4096

typedef struct HealthEntry
{
	Oid			database;		/* InvalidOid: free */
	int32		endpoint_id;
	pid_t		pid;			/* of the worker that writes it */
	int			in_flight;
	int			in_flight_limit;
	int			queued;			/* in the worker's memory, or known to it */
	BreakerPhase breaker;
	TimestampTz open_until;		/* these and the next: 0 if there is none */
	TimestampTz blocked_until;	/* Retry-After */
	int64		failures;		/* in a row */
	TimestampTz failing_since;
	int			use_count;
	RateUse		use[RATE_MAX_WINDOWS];
	int			tenant_use_count;
	RateUse		tenant_use[RATE_MAX_WINDOWS];
	bool		tenant_waits;	/* something waits for the rate of the tenant */
	double		adapted_rate;	/* 0: the receiver says nothing */
	TimestampTz last_success_at;
	TimestampTz last_error_at;
	char		last_error[LANE_ERROR_BYTES];
	char		last_error_code[LANE_ERROR_CODE_BYTES];
	TimestampTz minute;			/* of stats; DT_NOBEGIN: there are none */
	EndpointStats stats;		/* what is not yet in delivery_stats */
} HealthEntry;

typedef struct PostriderShared
{
	LWLock	   *lock;

	/* The newest tick given out; see util/id.h. */
	pg_atomic_uint64 last_tick;

	/*
	 * The state of the configuration; see wake.c.  changing counts the
	 * transactions that are committing a change right now.
	 */
	pg_atomic_uint64 config_generation;
	pg_atomic_uint32 config_changing;

	/* Goes up when somebody has made rows of pending due. */
	pg_atomic_uint64 pending_generation;

	/* Goes up when somebody has erased messages; see wake.c. */
	pg_atomic_uint64 erase_generation;

	/* Goes up when the table credential has changed. */
	pg_atomic_uint64 credential_generation;

	/* Protected by the lock. */
	pid_t		launcher_pid;
	Latch	   *launcher_latch; /* NULL while there is no launcher */
	ProgressEntry progress[POSTRIDER_MAX_PROGRESS];
	HealthEntry health[POSTRIDER_MAX_HEALTH];
	int			rate_tranche;
	RateGroupSlot rate_groups[POSTRIDER_MAX_RATE_GROUPS];
	int			slot_count;
	WorkerSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} PostriderShared;

extern void postrider_shmem_install(void);
extern PostriderShared *postrider_shared(void);

/*
 * The slot of a database's shard, or NULL.  The caller holds the lock.
 */
extern WorkerSlot *postrider_slot_find(Oid database, int shard);

/*
 * Claims a slot for a database's shard, unless it has one, and wakes the
 * launcher.  Takes the lock itself.  Returns false if all slots are in use.
 */
extern bool postrider_slot_want(Oid database, int shard);

/* Wakes the launcher; takes the lock. */
extern void postrider_launcher_wake(void);

#endif							/* POSTRIDER_SHMEM_H */
