"""What is broken on purpose during a trial, and when."""
