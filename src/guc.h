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
/* Most workers that a database can have. */
#define POSTRIDER_MAX_WORKERS 16

extern int	postrider_max_connections;
extern int	postrider_workers;
extern char *postrider_allowed_networks;
extern char *postrider_proxy;
extern char *postrider_proxy_secret;
extern char *postrider_proxy_ca_file;
extern char *postrider_no_proxy;
extern char *postrider_key_file;
extern char *postrider_secret_directories;
extern char *postrider_secret_environment;
extern char *postrider_key_command;
extern int	postrider_alert_interval_ms;
extern char *postrider_traceparent;
extern char *postrider_tenant;
extern char *postrider_change_reason;
extern int	postrider_config_history_minutes;
extern int	postrider_stats_minutes;

/* What becomes of a payload that does not match the schema of its topic. */
typedef enum PostriderValidation
{
	POSTRIDER_VALIDATION_STRICT,	/* an error */
	POSTRIDER_VALIDATION_WARN,	/* a warning, and it is sent */
	POSTRIDER_VALIDATION_OFF	/* it is not looked at */
} PostriderValidation;

extern int	postrider_validation;

extern void postrider_guc_define(void);

#endif							/* POSTRIDER_GUC_H */
