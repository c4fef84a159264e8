"""Run a module as a program that ends when whoever started it does, however that one ends.

    python -m ledgercore.demo.tied MODULE ARGUMENT...

Its standard input is a pipe whose other end is held by who started it, and by nobody else. What is
killed by ``kill -9`` can stop nothing, but the system closes its end: then the program is told to
end as by a service manager, and a node ends so as not to lose what is under way.
"""

from __future__ import annotations

import runpy
import signal
import sys
from io import BufferedReader
from threading import Thread, main_thread

__all__ = ["main"]


def _watch() -> None:
    # Unbuffered: a buffer's lock that a thread holds would abort the interpreter at its end.
    held = sys.stdin.buffer
    assert isinstance(held, BufferedReader), "standard input is a pipe"
    while held.raw.read(1):
        pass
    ident = main_thread().ident
    assert ident is not None, "main thread has begun"
    signal.pthread_kill(ident, signal.SIGTERM)  # which also ends a wait of the system's


def main() -> None:
    """Run the module that is named first, with the other arguments as its own."""
    Thread(target=_watch, name="ledgercore-tied", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
