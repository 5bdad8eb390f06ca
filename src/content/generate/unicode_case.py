#!/usr/bin/env python3
"""Writes ../unicode_case_table.c from Python's copy of the Unicode database.

   python3 unicode_case.py > ../unicode_case_table.c
"""
import sys
import unicodedata


def simple(function, code):
    """The mapping of one character to one character, or None."""
    result = function(chr(code))
    if len(result) != 1 or ord(result) == code:
        return None
    return ord(result) - code


def ranges(function):
    """Runs (first, last, step, delta) of characters that move by delta."""
    runs = []
    for code in range(0x80, 0x110000):
        if 0xD800 <= code <= 0xDFFF:
            continue
        delta = simple(function, code)
        if delta is None:
            continue
        for step in (1, 2):
            if runs and runs[-1][3] == delta and code - runs[-1][1] == step and \
                    (runs[-1][2] == step or runs[-1][0] == runs[-1][1]):
                runs[-1][1], runs[-1][2] = code, step
                break
        else:
            runs.append([code, code, 1, delta])
    # Interleaved runs (upper and lower by turns) may leave gaps that overlap
    # with nothing: the search needs them sorted and disjoint.
    for one, next_one in zip(runs, runs[1:]):
        assert one[1] < next_one[0]
    return runs


def table(name, comment, runs):
    print("/* %s */" % comment)
    print("const UnicodeCaseRange postrider_unicode_%s[] = {" % name)
    print(",\n".join("\t{0x%04X, 0x%04X, %d, %d}" % tuple(run) for run in runs))
    print("};")
    print("const int\tpostrider_unicode_%s_count = %d;" % (name, len(runs)))


print("""/*-------------------------------------------------------------------------
 *
 * unicode_case_table.c
 *	  Upper and lower case of characters beyond ASCII, Unicode %s.
 *	  Written by generate/unicode_case.py; do not edit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/unicode_case.h"
""" % unicodedata.unidata_version)
table("lower", "To lower case", ranges(lambda c: c.lower() if c != "\u0130" else "i"))
print()
table("upper", "To upper case", ranges(str.upper))
print()
table("title", "To title case, where it is not upper case",
      [r for r in ranges(str.title) if any(
          simple(str.title, c) != simple(str.upper, c) for c in range(r[0], r[1] + 1, r[2]))])
