"""What a ledger must survive, row by row of docs/reliability.md."""
