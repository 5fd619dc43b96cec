"""From an experiment to a run: what to run, each trial, and the folder that keeps it."""
