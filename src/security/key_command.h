/*-------------------------------------------------------------------------
 *
 * key_command.h
 *	  postrider.key_command: a command that prints the keys that encrypt secrets.
 *
 * /bin/sh runs it, as the server's user, with the environment of the server, no input,
 * and its standard error thrown away, for it might hold the key.  It has
 * KEY_COMMAND_SECONDS; then it is killed with all that it started.  Its output must be
 * what a key file may have in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEY_COMMAND_H
#define POSTRIDER_KEY_COMMAND_H

#include "postgres.h"

#include "security/key_ring.h"

#define KEY_COMMAND_SECONDS 10

/*
 * Runs the command.  On failure returns false with *reason set to a palloc'd sentence
 * that has nothing of the command or its output in it.  Raises an error only if the
 * process is interrupted.
 */
extern bool postrider_key_command_run(const char *command, KeyRing *ring, char **reason);

#endif							/* POSTRIDER_KEY_COMMAND_H */
