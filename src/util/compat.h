/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18, in one place.
 *
 * The macros need the headers of the functions that they call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_COMPAT_H
#define POSTRIDER_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "postrider needs PostgreSQL 15 or later"
#endif

/* postgres.h has it no longer. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Before a declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

#if PG_VERSION_NUM >= 170000
#define PostriderOldestClogXid() (TransamVariables->oldestClogXid)
#else
#define PostriderOldestClogXid() (ShmemVariableCache->oldestClogXid)
#endif

/* The end of a format for a uint64 in hexadecimal digits. */
#if PG_VERSION_NUM >= 180000
#define POSTRIDER_INT64_HEX PRIx64
#else
#define POSTRIDER_INT64_HEX INT64_MODIFIER "x"
#endif

/* 16 looks at permissions by a list of their own. */
#if PG_VERSION_NUM >= 180000
#define PostriderExecInitRangeTable(estate, rtes) \
	ExecInitRangeTable(estate, rtes, NIL, NULL)
#elif PG_VERSION_NUM >= 160000
#define PostriderExecInitRangeTable(estate, rtes) \
	ExecInitRangeTable(estate, rtes, NIL)
#else
#define PostriderExecInitRangeTable(estate, rtes) \
	ExecInitRangeTable(estate, rtes)
#endif

#if PG_VERSION_NUM >= 160000
#define PostriderExecInsertIndexTuples(rri, slot, estate) \
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL, false)
#define PostriderRootToChildMap(rri, estate) ExecGetRootToChildMap(rri, estate)
#else
#define PostriderExecInsertIndexTuples(rri, slot, estate) \
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL)
#define PostriderRootToChildMap(rri, estate) ((rri)->ri_RootToPartitionMap)
#endif

/* Rights. */
#if PG_VERSION_NUM >= 160000
#define PostriderMayExecute(function, role) \
	(object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define PostriderMayBecome(user, role) member_can_set_role(user, role)
#define PostriderOwnsDatabase(database, role) \
	object_ownercheck(DatabaseRelationId, database, role)
#else
#define PostriderMayExecute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define PostriderMayBecome(user, role) is_member_of_role(user, role)
#define PostriderOwnsDatabase(database, role) pg_database_ownercheck(database, role)
#endif

/* The extra value of a setting; NULL without memory. */
#if PG_VERSION_NUM >= 160000
#define PostriderGucMalloc(size) guc_malloc(LOG, size)
#else
#define PostriderGucMalloc(size) malloc(size)
#endif

/* From 16 on a regular expression is in the memory context it was compiled in. */
#if PG_VERSION_NUM < 160000
#define POSTRIDER_REGEX_IS_MALLOCED
#endif

#if PG_VERSION_NUM >= 170000
#define PostriderMakeJsonLexContext(text, length) \
	makeJsonLexContextCstringLen(NULL, text, length, GetDatabaseEncoding(), false)
#define PostriderFreeJsonLexContext(lex) freeJsonLexContext(lex)
#else
#define PostriderMakeJsonLexContext(text, length) \
	makeJsonLexContextCstringLen(text, length, GetDatabaseEncoding(), false)
#define PostriderFreeJsonLexContext(lex) ((void) 0)
#endif

/* For the life of the process. */
#if PG_VERSION_NUM >= 170000
#define PostriderCreateWaitEventSet(count) CreateWaitEventSet(NULL, count)
#else
#define PostriderCreateWaitEventSet(count) CreateWaitEventSet(TopMemoryContext, count)
#endif

#endif							/* POSTRIDER_COMPAT_H */
