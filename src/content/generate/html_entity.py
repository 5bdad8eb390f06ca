#!/usr/bin/env python3
"""Writes ../html_entity_table.c from the named entities of HTML 4 that
   Python lists.

   python3 html_entity.py > ../html_entity_table.c
"""
from html.entities import name2codepoint

entities = dict(name2codepoint, apos=39)
print("""/*-------------------------------------------------------------------------
 *
 * html_entity_table.c
 *	  The named entities of HTML 4 and &apos;, sorted by name.
 *	  Written by generate/html_entity.py; do not edit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/html.h"

const HtmlEntity postrider_html_entities[] = {""")
print(",\n".join('\t{"%s", %d}' % item for item in sorted(entities.items())))
print("};")
print("const int\tpostrider_html_entity_count = %d;" % len(entities))
