"""Run the command line as ``python -m ledgercore``, slowly: imports wait until a signal comes."""

from __future__ import annotations

import time

from ledgercore.cli import main, node


def check_late() -> None:
    """What imports the most."""
    while True:
        time.sleep(0.01)


if __name__ == "__main__":
    node.check_extra = check_late
    main()
