"""Histories and ledgers, and what follows from them: verdicts and measures.

Pure: no SQL, no network, no wall clock. Whatever can be said here can be said again from the files of a run.
"""
