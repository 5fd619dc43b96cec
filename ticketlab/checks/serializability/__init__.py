"""Strict serializability when the database reports its own order, as a version number of each event.

`versions` checks what the answers report, `real_time` whether the order of the versions agrees with real time, and
`refunds` the calls of each purchase id. Together they cost O(n log n). What was not reported needs a search:
`missing_versions` (with `gap_search`) finds versions for lost answers, `unversioned` an order for histories whose sales
report no version at all.

Source: Gibbons and Korach, "Testing Shared Memories", SIAM Journal on Computing 26 (1997): with the write order given,
a history of a register is decided in O(n log n). Answers without a version make the problem a search again.
"""
