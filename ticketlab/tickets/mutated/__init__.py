"""The mutants, one file a kind of mistake: see `ticketlab.tickets.strategies.mutants`. Found by their being here.

None of them is more than its mistake: the statements are the twin's, or differ from them in what can be seen. A stock
that is written back as it was computed is no mistake in itself: under a lock, or a version that is compared, it is
right. They do so because the table's own constraint would refuse what a relative decrement takes too much of.
"""
