/*-------------------------------------------------------------------------
 *
 * id.c
 *	  Message ids.  id.h explains what they promise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "common/pg_prng.h"
#include "fmgr.h"
#include "port/atomics.h"
#include "util/id.h"
#include "utils/timestamp.h"
#include "worker/shmem.h"

PG_FUNCTION_INFO_V1(postrider_id_time);
PG_FUNCTION_INFO_V1(postrider_id_floor);

/* The clock in ticks since 1970. */
static uint64
clock_ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64) now.tv_sec * 1000 + now.tv_nsec / 1000000) *
		POSTRIDER_TICKS_PER_MS +
		(uint64) (now.tv_nsec % 1000000) * POSTRIDER_TICKS_PER_MS / 1000000;
}

uint64
postrider_id_reserve(int count)
{
	pg_atomic_uint64 *last = &postrider_shared()->last_tick;
	uint64		now = clock_ticks();
	uint64		previous = pg_atomic_read_u64(last);

	for (;;)
	{
		uint64		first = Max(now, previous + 1);

		if (pg_atomic_compare_exchange_u64(last, &previous, first + count - 1))
			return first;
	}
}

/*
 * 48 bits of milliseconds, version 7, 12 bits of fraction, then the variant
 * and 62 random bits.  Ids are no secrets: they go out as webhook-id; so the
 * process's fast generator, which is seeded from the strong one, will do.
 */
void
postrider_id_from_tick(uint64 tick, pg_uuid_t *id)
{
	uint64		ms = tick / POSTRIDER_TICKS_PER_MS;
	uint64		fraction = tick % POSTRIDER_TICKS_PER_MS;
	uint64		random = pg_prng_uint64(&pg_global_prng_state);

	for (int i = 0; i < 6; i++)
		id->data[i] = (unsigned char) (ms >> (40 - 8 * i));
	id->data[6] = 0x70 | (unsigned char) (fraction >> 8);
	id->data[7] = (unsigned char) fraction;
	memcpy(id->data + 8, &random, 8);
	id->data[8] = 0x80 | (id->data[8] & 0x3f);
}

void
postrider_id_next(pg_uuid_t *id)
{
	postrider_id_from_tick(postrider_id_reserve(1), id);
}

static uint64
tick_of(const pg_uuid_t *id)
{
	uint64		ms = (uint64) postrider_id_unix_ms(id);

	return ms * POSTRIDER_TICKS_PER_MS +
		(((uint64) (id->data[6] & 0x0f) << 8) | id->data[7]);
}

void
postrider_id_current_floor(pg_uuid_t *id)
{
	postrider_id_from_tick(pg_atomic_read_u64(&postrider_shared()->last_tick), id);
	memset(id->data + 8, 0xff, 8);
}

void
postrider_id_advance(const pg_uuid_t *id)
{
	pg_atomic_uint64 *last = &postrider_shared()->last_tick;
	uint64		tick = tick_of(id);
	uint64		previous = pg_atomic_read_u64(last);

	while (previous < tick)
		if (pg_atomic_compare_exchange_u64(last, &previous, tick))
			break;
}

int64
postrider_id_unix_ms(const pg_uuid_t *id)
{
	int64		ms = 0;

	for (int i = 0; i < 6; i++)
		ms = (ms << 8) | id->data[i];
	return ms;
}

#define UNIX_TO_POSTGRES_EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 86400 * 1000)

TimestampTz
postrider_id_timestamp(const pg_uuid_t *id)
{
	return (postrider_id_unix_ms(id) - UNIX_TO_POSTGRES_EPOCH_MS) * 1000;
}

int
postrider_id_compare(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN);
}

/* SQL: postrider.id_time(uuid) */
Datum
postrider_id_time(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(postrider_id_timestamp(PG_GETARG_UUID_P(0)));
}

/* SQL: postrider.id_floor(timestamptz) */
Datum
postrider_id_floor(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	pg_uuid_t  *id = palloc0(sizeof(pg_uuid_t));
	int64		ms;

	if (TIMESTAMP_IS_NOEND(at))
	{
		memset(id->data, 0xff, UUID_LEN);
		PG_RETURN_UUID_P(id);
	}
	ms = TIMESTAMP_IS_NOBEGIN(at) ? 0 : at / 1000 + UNIX_TO_POSTGRES_EPOCH_MS;
	ms = Max(ms, 0);
	for (int i = 0; i < 6; i++)
		id->data[i] = (unsigned char) (ms >> (40 - 8 * i));
	id->data[6] = 0x70;
	id->data[8] = 0x80;
	PG_RETURN_UUID_P(id);
}

void
postrider_id_text(const pg_uuid_t *id, char *result)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*result++ = '-';
		*result++ = digits[id->data[i] >> 4];
		*result++ = digits[id->data[i] & 0x0f];
	}
	*result = '\0';
}
