/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings.  Each is described where guc.c defines it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_GUC_H
#define POSTRIDER_GUC_H

extern int	postrider_max_payload_bytes;
extern int	postrider_retention_minutes;
extern int	postrider_deduplication_minutes;
extern int	postrider_max_connections;
extern char *postrider_allowed_networks;
extern char *postrider_key_file;

extern void postrider_guc_define(void);

#endif							/* POSTRIDER_GUC_H */
