/*-------------------------------------------------------------------------
 *
 * descriptor.c
 *	  How many file descriptors this worker may have open for the network.
 *
 * A backend opens files until it has max_safe_fds of them, which the postmaster
 * has worked out from max_files_per_process and its own limit.  Sockets come on
 * top of that, and where the limit is the customary 1,024, a few hundred
 * endpoints that hang would leave no descriptor to anybody.  So we raise the
 * soft limit of this process (never the hard one, which is the
 * administrator's), and if that is not enough, take descriptors from the
 * server's share, as many as fd.c gives to code like ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include "delivery/descriptor.h"
#include "storage/fd.h"

/*
 * For the rest: epoll, logs, curl's resolver threads, the second address that
 * a connection is tried at.
 */
#define SPARE 64

int
postrider_descriptor_reserve(int wanted)
{
	struct rlimit limit;
	rlim_t		needed = (rlim_t) max_safe_fds + SPARE + wanted;
	int			available;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		limit.rlim_cur = limit.rlim_max = max_safe_fds + SPARE;
	if (limit.rlim_cur < needed && limit.rlim_cur < limit.rlim_max)
	{
		rlim_t		before = limit.rlim_cur;

		limit.rlim_cur = Min(needed, limit.rlim_max);
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			limit.rlim_cur = before;
	}
	if (limit.rlim_cur >= needed)
		return wanted;

	available = Max((int) limit.rlim_cur - max_safe_fds - SPARE, 0);
	while (available < wanted && AcquireExternalFD())
		available++;
	return Max(available, 1);
}
