"""What was observed in a trial, as columns: the history, the ledger, and what is worked out of both. Opens nothing."""
