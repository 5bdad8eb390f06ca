/*-------------------------------------------------------------------------
 *
 * watch.h
 *	  The sockets that curl wants watched, in one epoll descriptor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_WATCH_H
#define POSTRIDER_WATCH_H

#include "postgres.h"

#include <curl/curl.h>

/*
 * Makes the epoll descriptor and has the multi handle tell us its sockets.
 * Returns the descriptor; ereport(ERROR) if there is none to be had.
 */
extern int	postrider_watch_start(CURLM *multi);

/* Passes on to curl what epoll reports, without waiting; false if nothing. */
extern bool postrider_watch_run(CURLM *multi);

/* To be called when a socket was made for curl, and to close it. */
extern void postrider_watch_opened(curl_socket_t socket);
extern int	postrider_watch_close(void *arg, curl_socket_t socket);

#endif							/* POSTRIDER_WATCH_H */
