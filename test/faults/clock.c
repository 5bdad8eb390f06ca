/*
 * A wall clock that a test can set: preloaded into a server, it adds the seconds
 * that are in the first eight bytes of the file $TEST_CLOCK to the real time.  (libfaketime
 * does not notice a change in processes that the postmaster has forked.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset = NULL;

__attribute__((constructor))
static void
map_clock(void)
{
	const char *name = getenv("TEST_CLOCK");
	int			file = name ? open(name, O_RDONLY) : -1;
	void	   *map;

	if (file < 0)
		return;
	map = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
	close(file);
	if (map != MAP_FAILED)
		offset = map;
}

int
clock_gettime(clockid_t clock, struct timespec *result)
{
	int			code = (int) syscall(SYS_clock_gettime, clock, result);

	if (code == 0 && clock == CLOCK_REALTIME && offset)
		result->tv_sec += *offset;
	return code;
}

int
gettimeofday(struct timeval *restrict result, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &now);
	result->tv_sec = now.tv_sec;
	result->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (result)
		*result = now.tv_sec;
	return now.tv_sec;
}
