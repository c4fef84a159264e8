"""Write the pictures of docs/spec anew from the tables: ``python -m tests.diagram_files``."""

from __future__ import annotations

from ledgercore.rules import document
from tests.conftest import REPOSITORY

DIAGRAMS = REPOSITORY / "docs" / "spec" / "diagrams"

if __name__ == "__main__":
    DIAGRAMS.mkdir(exist_ok=True)
    for name, picture in document.diagrams():
        (DIAGRAMS / f"{name}.svg").write_text(picture)
