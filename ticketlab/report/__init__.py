"""Frames of measures and verdicts in; figures, sentences and pages out.

Opens no connection and writes no file: a saved run gives the same report again.
"""
