"""Turn an institution's own tables into what it provides, and score what it is given."""

from ledgercore.profiles.dictionary import MISSING, Dictionary, Entry
from ledgercore.profiles.scorecard import (
    Assessment,
    Characteristic,
    Scorecard,
    assess,
    decode_scorecard,
    encode_scorecard,
    parse_scorecard,
    verify_decision,
)
from ledgercore.profiles.tabular import Mapping, Row, Table, load_table, parse_mapping

__all__ = [
    "MISSING",
    "Assessment",
    "Characteristic",
    "Dictionary",
    "Entry",
    "Mapping",
    "Row",
    "Scorecard",
    "Table",
    "assess",
    "decode_scorecard",
    "encode_scorecard",
    "load_table",
    "parse_mapping",
    "parse_scorecard",
    "verify_decision",
]
