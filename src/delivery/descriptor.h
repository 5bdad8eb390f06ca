/*-------------------------------------------------------------------------
 *
 * descriptor.h
 *	  How many file descriptors this worker may have open for the network.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_DESCRIPTOR_H
#define POSTRIDER_DESCRIPTOR_H

/*
 * Makes room for up to "wanted" sockets beside the files that the server
 * opens, and returns how many may be open at the same time; at least 1.  To be
 * called once, when the worker starts.
 */
extern int	postrider_descriptor_reserve(int wanted);

#endif							/* POSTRIDER_DESCRIPTOR_H */
