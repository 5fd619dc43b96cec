"""What is broken on purpose while buyers buy, and when."""
