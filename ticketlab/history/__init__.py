"""The data of a trial as columns: the history, the ledger, and what is derived from both. Opens no connection."""
