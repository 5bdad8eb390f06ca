/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  The upper limit of the benchmark: a bare libcurl multi loop that posts
 *	  the same request again and again, with nothing around it.
 *
 *	  limit URL REQUESTS CONNECTIONS BODY_BYTES [poll|epoll|kept]
 *
 * It prints the requests per second.  The headers are those of a signed
 * postrider request, as constant strings; the handles are set up once.
 *
 * Three loops are there: curl_multi_poll; curl_multi_socket_action with an
 * epoll descriptor of our own; and the same where a kept connection stays in
 * epoll between requests, as in postrider (src/delivery/watch.c), which saves
 * two calls of epoll_ctl for each request.  The last one is the fastest and the
 * default (see README.md): anything slower would not be a limit.
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_CALL 256

/* Sockets with higher numbers are not kept in epoll. */
#define MAX_KEPT 4096

static CURLM *multi;
static int	epoll_descriptor;

/* What epoll watches each socket for (CURL_POLL_IN, _OUT), in the loop "kept". */
static bool keep = true;
static unsigned char watched[MAX_KEPT];

/* When curl wants to be called, in seconds of now_s(). */
static double curl_deadline = HUGE_VAL;

static long requests_wanted;	/* in all */
static long requests_begun = 0;
static long requests_done = 0;
static int	in_flight = 0;

static void
give_up(const char *reason)
{
	fprintf(stderr, "limit: %s\n", reason);
	exit(1);
}

static double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static size_t
ignore_data(char *data, size_t size, size_t count, void *arg)
{
	(void) data;
	(void) arg;
	return size * count;
}

static int
watch_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *known)
{
	struct epoll_event event = {0};

	(void) easy;
	(void) arg;
	event.data.fd = socket;
	if (keep && socket < MAX_KEPT)
	{
		if (what == CURL_POLL_REMOVE || what == watched[socket])
			return 0;
		known = watched[socket] ? &epoll_descriptor : NULL;
		watched[socket] = what;
	}
	if (what == CURL_POLL_REMOVE)
	{
		(void) epoll_ctl(epoll_descriptor, EPOLL_CTL_DEL, socket, &event);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll_descriptor, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
				  socket, &event) != 0)
		give_up("epoll_ctl failed");
	if (!known)
		curl_multi_assign(multi, socket, &epoll_descriptor);
	return 0;
}

/* Closing takes a socket out of epoll; its number may come to mean another. */
static int
close_socket(void *arg, curl_socket_t socket)
{
	(void) arg;
	if (socket < MAX_KEPT)
		watched[socket] = 0;
	return close(socket);
}

static int
watch_time(CURLM *handle, long timeout_ms, void *arg)
{
	(void) handle;
	(void) arg;
	curl_deadline = timeout_ms < 0 ? HUGE_VAL :
		timeout_ms == 0 ? 0 : now_s() + timeout_ms / 1000.0;
	return 0;
}

static CURL *
make_handle(const char *url, struct curl_slist *headers, const char *body,
			long body_bytes)
{
	CURL	   *easy = curl_easy_init();

	if (!easy)
		give_up("could not make a handle");
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, body_bytes);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 20000L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_data);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	return easy;
}

static struct curl_slist *
make_headers(void)
{
	static const char *const lines[] = {
		"webhook-id: 019aafe2-7f5c-7d3c-8a35-6f8f1e0b4c11",
		"webhook-timestamp: 1763886468",
		"webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
		"Expect:", "Accept:",
		"User-Agent: postrider/0.2.0",
		"Content-Type: application/json"
	};
	struct curl_slist *list = NULL;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		list = curl_slist_append(list, lines[i]);
	return list;
}

static void
begin_request(CURL *easy)
{
	if (requests_begun == requests_wanted)
		return;
	requests_begun++;
	in_flight++;
	curl_multi_add_handle(multi, easy);
}

/* Takes from curl what has ended, and uses its handles again. */
static void
collect(void)
{
	CURLMsg    *message;
	int			remaining;

	while ((message = curl_multi_info_read(multi, &remaining)))
	{
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;
		long		status = 0;

		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		if (code != CURLE_OK || status != 200)
			give_up(code != CURLE_OK ? curl_easy_strerror(code) : "status is not 200");
		requests_done++;
		in_flight--;
		curl_multi_remove_handle(multi, easy);
		begin_request(easy);
	}
}

static void
loop_poll(void)
{
	int			running;

	while (requests_done < requests_wanted)
	{
		curl_multi_perform(multi, &running);
		collect();
		curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
}

static void
loop_epoll(void)
{
	struct epoll_event events[EVENTS_PER_CALL];
	int			running;

	while (requests_done < requests_wanted)
	{
		double		wait_s = curl_deadline == 0 ? 0 : curl_deadline - now_s();
		int			count = epoll_wait(epoll_descriptor, events, EVENTS_PER_CALL,
									   wait_s <= 0 ? 0 : wait_s < 1 ? 1 + wait_s * 1000 : 1000);

		for (int i = 0; i < count; i++)
		{
			int			what = 0;

			if (events[i].events & EPOLLIN)
				what |= CURL_CSELECT_IN;
			if (events[i].events & EPOLLOUT)
				what |= CURL_CSELECT_OUT;
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				what |= CURL_CSELECT_ERR;
			curl_multi_socket_action(multi, events[i].data.fd, what, &running);
		}
		if (curl_deadline == 0 || curl_deadline <= now_s())
		{
			curl_deadline = HUGE_VAL;
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		collect();
	}
}

int
main(int argc, char **argv)
{
	bool		epoll = argc < 6 || strcmp(argv[5], "poll") != 0;
	struct curl_slist *headers;
	long		connections;
	long		body_bytes;
	char	   *body;
	double		begun_at;

	if (argc < 5)
		give_up("usage: limit URL REQUESTS CONNECTIONS BODY_BYTES [poll|epoll|kept]");
	keep = argc < 6 || strcmp(argv[5], "kept") == 0;
	requests_wanted = atol(argv[2]);
	connections = atol(argv[3]);
	body_bytes = atol(argv[4]);
	body = malloc(body_bytes + 1);
	if (!body || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
		!(multi = curl_multi_init()))
		give_up("could not start libcurl");
	memset(body, 'x', body_bytes);
	headers = make_headers();

	epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
	if (epoll)
	{
		curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, watch_time);
	}
	begun_at = now_s();
	for (long i = 0; i < connections; i++)
		begin_request(make_handle(argv[1], headers, body, body_bytes));
	if (epoll)
		loop_epoll();
	else
		loop_poll();
	printf("%.0f\n", requests_done / (now_s() - begun_at));
	return 0;
}
