"""Taking money through the bank, and the ledger."""
