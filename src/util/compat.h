/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18, in one place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_COMPAT_H
#define POSTRIDER_COMPAT_H

#include "postgres.h"

#include "access/transam.h"
#include "executor/executor.h"

#if PG_VERSION_NUM < 150000
#error "postrider needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 170000
#define PostriderOldestClogXid() (TransamVariables->oldestClogXid)
#else
#define PostriderOldestClogXid() (ShmemVariableCache->oldestClogXid)
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
#else
#define PostriderMayExecute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define PostriderMayBecome(user, role) is_member_of_role(user, role)
#endif

#endif							/* POSTRIDER_COMPAT_H */
