/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  The sockets that curl wants watched, in one epoll descriptor.
 *
 * curl takes a connection off the watch when a request has ended and puts it
 * on again when the next one has been sent.  On a kept connection that would be
 * two system calls for each message.  So what curl takes off stays in epoll
 * until the socket is closed, or has something to say that nobody wants to hear:
 * then the receiver has closed an idle connection, and it goes out at last.
 * curl looks for itself whether a connection lives before it uses it again.
 *
 * This holds for sockets that we opened and close for curl, so that
 * the number of a socket cannot come to mean another one behind our back.  Other
 * descriptors (curl has some for its resolver thread) are taken off at once.
 *
 * All functions but postrider_watch_start() run inside of curl: they neither
 * allocate nor report errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "delivery/watch.h"

#define EVENTS_PER_CALL 256

/* Sockets with higher numbers are taken off at once. */
#define MAX_KEPT 16384

#define WATCH_OURS	1			/* opened by us */
#define WATCH_IN	2			/* in epoll for reading */
#define WATCH_OUT	4			/* in epoll for writing */
#define WATCH_IDLE	8			/* curl has taken it off */

static int	epoll_descriptor = -1;
static uint8 watched[MAX_KEPT];

static bool
is_kept(curl_socket_t socket)
{
	return socket < MAX_KEPT && (watched[socket] & WATCH_OURS);
}

static void
update_epoll(int operation, curl_socket_t socket, int what)
{
	struct epoll_event event = {0};

	event.data.fd = socket;
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;

	/* It fails where curl has closed the descriptor before: that is fine. */
	(void) epoll_ctl(epoll_descriptor, operation, socket, &event);
}

static void
watch_kept(curl_socket_t socket, int what)
{
	uint8		old = watched[socket] & (WATCH_IN | WATCH_OUT);
	uint8		new = ((what & CURL_POLL_IN) ? WATCH_IN : 0) |
		((what & CURL_POLL_OUT) ? WATCH_OUT : 0);

	if (what == CURL_POLL_REMOVE)
	{
		watched[socket] |= WATCH_IDLE;
		return;
	}
	if (new != old)
		update_epoll(old ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, what);
	watched[socket] = WATCH_OURS | new;
}

/* curl callback: which events of a socket to watch */
static int
watch_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *known)
{
	CURLM	   *multi = arg;

	if (is_kept(socket))
	{
		watch_kept(socket, what);
		return 0;
	}
	if (what == CURL_POLL_REMOVE)
		update_epoll(EPOLL_CTL_DEL, socket, 0);
	else if (known)
		update_epoll(EPOLL_CTL_MOD, socket, what);
	else
	{
		update_epoll(EPOLL_CTL_ADD, socket, what);
		curl_multi_assign(multi, socket, watched);	/* any pointer: known */
	}
	return 0;
}

int
postrider_watch_start(CURLM *multi)
{
	epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_descriptor < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not create an epoll descriptor: %m")));
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, multi);
	return epoll_descriptor;
}

void
postrider_watch_opened(curl_socket_t socket)
{
	if (socket < MAX_KEPT)
		watched[socket] = WATCH_OURS;
}

/* curl callback; closing takes a descriptor out of epoll */
int
postrider_watch_close(void *arg, curl_socket_t socket)
{
	if (socket < MAX_KEPT)
		watched[socket] = 0;
	return close(socket);
}

bool
postrider_watch_run(CURLM *multi)
{
	struct epoll_event events[EVENTS_PER_CALL];
	int			count = epoll_wait(epoll_descriptor, events, EVENTS_PER_CALL, 0);
	bool		moved = false;
	int			running;

	for (int i = 0; i < count; i++)
	{
		curl_socket_t socket = events[i].data.fd;
		int			mask = 0;

		if (is_kept(socket) && (watched[socket] & WATCH_IDLE))
		{
			update_epoll(EPOLL_CTL_DEL, socket, 0);
			watched[socket] = WATCH_OURS | WATCH_IDLE;
			continue;
		}
		if (events[i].events & (EPOLLIN | EPOLLRDHUP))
			mask |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			mask |= CURL_CSELECT_OUT;
		if (events[i].events & (EPOLLERR | EPOLLHUP))
			mask |= CURL_CSELECT_ERR;
		curl_multi_socket_action(multi, socket, mask, &running);
		moved = true;
	}
	return moved;
}
