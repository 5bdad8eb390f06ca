/*-------------------------------------------------------------------------
 *
 * secret_table.h
 *	  Storing secrets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_TABLE_H
#define POSTRIDER_SECRET_TABLE_H

#include "postgres.h"

/*
 * Stores a value by which a server has replaced that of a secret, in a transaction of a
 * worker: the old one ends at once.  A secret that had its value in a store has it
 * here from now on, for the one there is good for nothing any more.
 */
extern void postrider_secret_store_rotated(const char *name, const char *value);

#endif							/* POSTRIDER_SECRET_TABLE_H */
