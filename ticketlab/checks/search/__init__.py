"""The general linearizability search: slow, and independent of the versions that the fast checks use.

`linearizability` searches, `model` says what one operation does. The tests compare the fast checks with it, and the
fast checks use it for what the versions leave open.
"""
