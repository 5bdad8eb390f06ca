/*-------------------------------------------------------------------------
 *
 * topic.h
 *	  Topic names and patterns.
 *
 * A topic is one or more words joined by dots; a word is one or more of
 * a-z, 0-9 and _.  A pattern may also have the words * (exactly one word) and
 * ** (any number of words, none included).  Neither is longer than
 * POSTRIDER_TOPIC_MAX bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TOPIC_H
#define POSTRIDER_TOPIC_H

#include "postgres.h"

#define POSTRIDER_TOPIC_MAX 200

extern bool postrider_topic_is_valid(const char *topic, Size length);
extern bool postrider_topic_pattern_is_valid(const char *pattern, Size length);

/*
 * Both must be valid and NUL-terminated.  Takes at most (words of the topic) *
 * (words of the pattern) comparisons.
 */
extern bool postrider_topic_matches(const char *topic, const char *pattern);

/* ereport(ERROR) with a hint unless the text is a topic, or a pattern. */
extern void postrider_topic_require(const char *topic, Size length);
extern void postrider_topic_pattern_require(const char *pattern, Size length);

#endif							/* POSTRIDER_TOPIC_H */
