"""A lab that finds out whether a way of selling tickets concurrently is right, and how fast it is."""
