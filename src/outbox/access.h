/*-------------------------------------------------------------------------
 *
 * access.h
 *	  What a session may see: its tenant, and whether it may see payloads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ACCESS_H
#define POSTRIDER_ACCESS_H

#include "postgres.h"

/* The tenant that the session is bound to; NULL: it is not bound. */
extern const char *postrider_bound_tenant(void);

/* May the session see what belongs to this tenant (NULL: to none)? */
extern bool postrider_sees_tenant(const char *tenant);

/*
 * The tenant that a new message gets: what was given, or that of the session.
 * ereport(ERROR) if the session is bound to another one.
 */
extern text *postrider_message_tenant(text *given);

/* A process of ours is bound to no tenant, whatever its database is set to. */
extern void postrider_unbind_tenant(void);

/* May the user see payloads and what quotes them? */
extern bool postrider_sees_payloads(void);

/* ereport(ERROR) unless the user owns the table, or is in the role that does. */
extern void postrider_require_owner(Oid relation);

#endif							/* POSTRIDER_ACCESS_H */
