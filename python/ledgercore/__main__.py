"""Run the command line as ``python -m ledgercore``."""

from ledgercore.cli import main

if __name__ == "__main__":
    main()
