/*-------------------------------------------------------------------------
 *
 * topic.c
 *	  Topic names and patterns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/topic.h"
#include "mb/pg_wchar.h"

#define TOPIC_RULE \
	"words of a-z, 0-9 and _ joined by dots, such as order.paid; at most %d bytes"

static bool
is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool
words_are_valid(const char *words, Size length, bool wildcards)
{
	const char *end = words + length;

	if (length > POSTRIDER_TOPIC_MAX)
		return false;
	for (;;)
	{
		const char *word = words;

		while (words < end && is_word_byte(*words))
			words++;
		if (words == word && wildcards)
			while (words < end && *words == '*' && words - word < 2)
				words++;
		if (words == word)
			return false;
		if (words == end)
			return true;
		if (*words++ != '.')
			return false;
	}
}

bool
postrider_topic_is_valid(const char *topic, Size length)
{
	return words_are_valid(topic, length, false);
}

bool
postrider_topic_pattern_is_valid(const char *pattern, Size length)
{
	return words_are_valid(pattern, length, true);
}

/* The word after this one, or NULL at the end. */
static const char *
next_word(const char *word)
{
	const char *dot = strchr(word, '.');

	return dot ? dot + 1 : NULL;
}

static bool
is_any_words(const char *word)
{
	return word[0] == '*' && word[1] == '*';
}

static bool
word_matches(const char *word, const char *pattern)
{
	if (*pattern == '*')
		return true;
	while (is_word_byte(*word) && *word == *pattern)
	{
		word++;
		pattern++;
	}
	return !is_word_byte(*word) && !is_word_byte(*pattern);
}

/*
 * Only the last "**" that was met is ever given more words: if what lies
 * between two of them has matched once, matching it further to the right
 * leaves the rest of the pattern fewer words, never more.  So the work is at
 * most the product of the numbers of words, however many "**" there are.
 */
bool
postrider_topic_matches(const char *topic, const char *pattern)
{
	const char *retry_topic = NULL;
	const char *retry_pattern = NULL;	/* what follows the last "**" */

	for (;;)
	{
		if (pattern != NULL && is_any_words(pattern))
		{
			pattern = next_word(pattern);
			if (pattern == NULL)
				return true;
			retry_topic = topic;
			retry_pattern = pattern;
		}
		else if (topic == NULL)
			return pattern == NULL;
		else if (pattern != NULL && word_matches(topic, pattern))
		{
			topic = next_word(topic);
			pattern = next_word(pattern);
		}
		else if (retry_pattern != NULL)
		{
			topic = retry_topic = next_word(retry_topic);
			pattern = retry_pattern;
		}
		else
			return false;
	}
}

void
postrider_topic_require(const char *topic, Size length)
{
	if (postrider_topic_is_valid(topic, length))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%.*s\" is not a topic",
					pg_mbcliplen(topic, (int) length, POSTRIDER_TOPIC_MAX),
					topic),
			 errhint("A topic is " TOPIC_RULE ".", POSTRIDER_TOPIC_MAX)));
}

void
postrider_topic_pattern_require(const char *pattern, Size length)
{
	if (postrider_topic_pattern_is_valid(pattern, length))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%.*s\" is not a topic pattern",
					pg_mbcliplen(pattern, (int) length, POSTRIDER_TOPIC_MAX),
					pattern),
			 errhint("A pattern is " TOPIC_RULE
					 "; the word * stands for one word, ** for any number of words.",
					 POSTRIDER_TOPIC_MAX)));
}
