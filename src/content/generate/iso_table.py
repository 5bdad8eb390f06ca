#!/usr/bin/env python3
"""Writes ../iso_table.c from the lists that Debian's package iso-codes has.

   python3 iso_table.py > ../iso_table.c

The digits of currencies and the codes that are newer than the package are
below.  Codes that ISO has withdrawn of late stay: old orders have them.
"""
import json
import os

FOLDER = "/usr/share/iso-codes/json"
NEW_CURRENCIES = {"SLE", "VED", "ZWG", "XCG", "XAD"}
DIGITS = {0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
          3: "BHD IQD JOD KWD LYD OMR TND",
          4: "CLF UYW",
          -1: "XAU XAG XPT XPD XBA XBB XBC XBD XDR XSU XUA XTS XXX"}


def read(name):
    with open(os.path.join(FOLDER, "iso_%s.json" % name)) as file:
        return json.load(file)[name]


def table(kind, name, rows):
    print("const %s = {" % kind)
    print(",\n".join("\t" + row for row in rows))
    print("};")
    print("const int\tpostrider_iso_%s_count = %d;" % (name, len(rows)))


digits = {code: number for number, codes in DIGITS.items() for code in codes.split()}
currencies = {row["alpha_3"] for row in read("4217")} | NEW_CURRENCIES
assert set(digits) <= currencies, set(digits) - currencies
print("""/*-------------------------------------------------------------------------
 *
 * iso_table.c
 *	  The codes of countries (ISO 3166-1), currencies (ISO 4217) and languages
 *	  (ISO 639-1), sorted.  Written by generate/iso_table.py; do not edit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/contact.h"
""")
table("IsoCountry postrider_iso_countries[]", "country",
      sorted('{"%s", "%s"}' % (row["alpha_2"], row["alpha_3"]) for row in read("3166-1")))
print("\n/* The digits after the point; -1 where there is no such thing. */")
table("IsoCurrency postrider_iso_currencies[]", "currency",
      ['{"%s", %d}' % (code, digits.get(code, 2)) for code in sorted(currencies)])
print()
table("char postrider_iso_languages[][3]", "language",
      sorted('"%s"' % row["alpha_2"] for row in read("639-2") if "alpha_2" in row))
