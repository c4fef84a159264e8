"""Generate firms for a demonstration that is given no table."""

from __future__ import annotations

from ledgercore.entropy import Entropy
from ledgercore.profiles import Mapping, Row, Table, parse_mapping
from ledgercore.records.base import Value

__all__ = ["generate_firms", "generated_mapping"]

_MAPPING = """
subject = "firm"

[offer]
product = "tax.sme.v1"
title = "Tax profile of a small firm"
version = "1"
purpose = "credit.assess"
period_begin = "2025-01"
period_end = "2025-12"

[approval]
field = "tax.paid_12m"
at_least = 2000000

[[field]]
code = "cr.grade"
column = "grade"
type = "code"
unit = "A, B, M, C or D"
level = 3
allowed = { A = "A", B = "B", M = "M", C = "C", D = "D" }

[[field]]
code = "tax.paid_12m"
column = "paid"
type = "uint"
unit = "fen"
level = 4

[[field]]
code = "vat.sales_12m"
column = "sales"
type = "uint"
unit = "fen"
level = 4

[[field]]
code = "tax.arrears"
column = "arrears"
type = "uint"
unit = "fen"
level = 4
missing = "NOT_FILED"

[[field]]
code = "soc.heads"
column = "heads"
type = "uint"
unit = "persons"
level = 3

[[field]]
code = "aud.open"
column = "inspection"
type = "code"
unit = "flag"
level = 4
allowed = { 0 = "NO", 1 = "YES" }
consented = false
"""


def generated_mapping() -> Mapping:
    """The fields that generated firms have."""
    return parse_mapping(_MAPPING)


def generate_firms(count: int, entropy: Entropy) -> Table:
    """That many firms, each with a plausible year."""
    table = Table()
    for line in range(1, count + 1):
        drawn = entropy.bytes(16)
        sales = 10_000_000 + int.from_bytes(drawn[:4], "big") % 900_000_000
        arrears = 0 if drawn[5] < 230 else sales // 500
        values: dict[str, Value] = {
            "cr.grade": "AABBBMMCD"[drawn[4] % 9],
            "tax.paid_12m": sales * (20 + drawn[6] % 60) // 1000,
            "vat.sales_12m": sales,
            "tax.arrears": arrears if drawn[7] > 20 else "NOT_FILED",
            "soc.heads": 1 + drawn[8] % 120,
            "aud.open": "YES" if drawn[9] < 8 else "NO",
        }
        table.rows.append(Row(line, f"firm-{line:06}", values))
    return table
