"""A permissioned, token-free ledger."""
