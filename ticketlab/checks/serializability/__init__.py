"""The database's own order: which version each operation made or saw, and whether real time agrees with it.

With the order given, strict serializability is decided in n·log n: Gibbons and Korach, "Testing Shared Memories", SIAM
Journal on Computing 26 (1997), for registers whose every write is known by its value. Only what the database did not
tell has to be searched for: purchases of unknown outcome, and answers without a version.
"""
