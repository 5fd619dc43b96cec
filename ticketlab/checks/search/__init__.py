"""The general linearizability search: the slow reference for the checks."""
