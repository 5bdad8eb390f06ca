/*-------------------------------------------------------------------------
 *
 * version.h
 *	  The version of this release; tools/check-version compares all places
 *	  that have it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_VERSION_H
#define POSTRIDER_VERSION_H

#define POSTRIDER_VERSION "0.2.0"

#endif							/* POSTRIDER_VERSION_H */
