"""Schema history of the ledger; run at start by `ledger_store`."""
