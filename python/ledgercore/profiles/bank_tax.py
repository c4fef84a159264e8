"""List the fields and purposes that tax authorities and banks exchange, in one dictionary.

``python -m ledgercore.profiles.bank_tax`` prints the table of docs/spec/fields.md.
"""

from __future__ import annotations

from ledgercore.profiles.dictionary import Dictionary, Entry

__all__ = ["DICTIONARY", "PURPOSES", "SCHEMA"]

PURPOSES = {
    "credit.assess": "decide on a loan that the subject asked for",
    "credit.monitor": "watch a loan while it runs",
    "credit.restructure": "change the terms of a loan with the subject",
    "guarantee.assess": "decide on a guarantee for the subject",
}
"""What consented data may be used for, and what each means."""

_MONTHS, _YEARS = 36, 3
_GRADES = "A/B/M/C/D"

DICTIONARY = Dictionary(
    "bank_tax",
    (
        Entry("id.uscc", "unified social credit code", "text", 2, "R"),
        Entry("id.name", "registered name", "text", 2, "R"),
        Entry("id.industry", "industry, a class of GB/T 4754", "text", 2, "R"),
        Entry("id.reg_date", "date of registration", "date", 2, "R"),
        Entry("cr.grade", "tax-payment credit grade of the last year", _GRADES, 3, "R, P"),
        Entry("cr.grade_prev", "the same a year before", _GRADES, 3, "R, P"),
        Entry("vat.sales_m", "taxable sales of a month", "fen", 4, "R, B, P", _MONTHS),
        Entry("vat.sales_12m", "taxable sales of the last 12 months", "fen", 4, "R, B, P"),
        Entry("vat.paid_m", "value-added tax paid in a month", "fen", 4, "R, B, P", _MONTHS),
        Entry("cit.revenue_y", "revenue of a year as filed", "fen", 4, "R, B, P", _YEARS),
        Entry("cit.profit_y", "profit of a year as filed", "fen", 4, "R, B, P", _YEARS, True),
        Entry("tax.paid_12m", "all taxes paid in the last 12 months", "fen", 4, "R, P"),
        Entry("tax.arrears", "amount that is overdue", "fen", 4, "R, C, P"),
        Entry("fil.late_12m", "late filings of the last 12 months", "count", 3, "C"),
        Entry("fil.zero_12m", "nil filings of the last 12 months", "count", 3, "C"),
        Entry("pen.count_24m", "penalties of the last 24 months", "count", 4, "C"),
        Entry("pen.serious", "whether a breach was serious", "YES/NO", 4, "C"),
        Entry("aud.open", "whether an inspection is in progress", "YES/NO", 4, "C"),
        Entry("inv.out_conc", "share of the five largest buyers", "bp", 3, "R, B, P"),
        Entry("inv.in_conc", "share of the five largest suppliers", "bp", 3, "R, B, P"),
        Entry("soc.heads", "insured employees", "count", 3, "B, P"),
    ),
)
"""Amounts are in fen, shares in basis points, both whole numbers."""

SCHEMA = DICTIONARY.schema(1, "Fields of tax authorities and banks")
"""What one provider of a network registers, for the products of all."""


if __name__ == "__main__":
    print(DICTIONARY.document())
