/*-------------------------------------------------------------------------
 *
 * schema_format_internal.h
 *	  The checks of the formats, among the files of src/content/schema_format*.
 *
 * Each check reads its value once from the front (the host checks a bounded
 * number of times per label), allocates nothing that lasts, and knows no
 * locale: digits and letters are ASCII unless a standard says otherwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_FORMAT_INTERNAL_H
#define POSTRIDER_SCHEMA_FORMAT_INTERNAL_H

#include "postgres.h"

static inline bool
format_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
format_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
format_is_alnum(char c)
{
	return format_is_digit(c) || format_is_alpha(c);
}

static inline bool
format_is_hex(char c)
{
	return format_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* schema_format_time.c */
extern bool postrider_format_date(const char *value, int len);
extern bool postrider_format_time(const char *value, int len);
extern bool postrider_format_date_time(const char *value, int len);
extern bool postrider_format_duration(const char *value, int len);

/* schema_format_host.c */
extern bool postrider_format_ipv4(const char *value, int len);
extern bool postrider_format_ipv6(const char *value, int len);
extern bool postrider_check_ipv6(const char *value, int len, int compressed_max);
extern bool postrider_format_hostname(const char *value, int len);
extern bool postrider_format_idn_hostname(const char *value, int len);

/* schema_format_email.c */
extern bool postrider_format_email(const char *value, int len);
extern bool postrider_format_idn_email(const char *value, int len);

/* schema_format_uri.c */
extern bool postrider_format_uri(const char *value, int len);
extern bool postrider_format_uri_reference(const char *value, int len);
extern bool postrider_format_iri(const char *value, int len);
extern bool postrider_format_iri_reference(const char *value, int len);
extern bool postrider_format_uri_template(const char *value, int len);

/*
 * schema_format_idna.c: a label of a host name under IDNA2008.
 *
 * Results of a look at one label; POSTRIDER_LABEL_RTL and _NOT_BIDI are added
 * to the others: in a name with any RTL label, each label must satisfy the
 * Bidi rule.
 */
#define POSTRIDER_LABEL_VALID		0x1
#define POSTRIDER_LABEL_RTL			0x2
#define POSTRIDER_LABEL_NOT_BIDI	0x4

/*
 * label: UTF-8, a U-label or an A-label (xn--) or plain ASCII, in any case.
 * Returns the flags above, 0 if it is not valid, and in *ascii_len the length
 * of its ASCII form.
 */
extern int	postrider_idna_check_label(const char *label, int len, int *ascii_len);

/*
 * A name as UTS 46 maps it, allocated; NULL if it is no UTF-8 or has more than so many
 * code points that count.
 */
extern char *postrider_idna_map(const char *name, int len, int most);

#endif							/* POSTRIDER_SCHEMA_FORMAT_INTERNAL_H */
