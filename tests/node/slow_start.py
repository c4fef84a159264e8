"""Run the command line as ``python -m ledgercore``, slowly: imports wait until a signal does."""

from __future__ import annotations

import signal
import time

from ledgercore.cli import main, node

check_extra = node.check_extra


def check_late() -> None:
    """What imports the most."""
    while not signal.sigpending():
        time.sleep(0.01)
    check_extra()


if __name__ == "__main__":
    node.check_extra = check_late
    main()
