"""Turn an institution's own tables into what it provides."""

from ledgercore.profiles.tabular import Mapping, Row, Table, load_table, parse_mapping

__all__ = ["Mapping", "Row", "Table", "load_table", "parse_mapping"]
