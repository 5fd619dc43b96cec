"""Frames of measures in; figures, sentences and a page out. Reads evidence, and never makes any.

Opens no connection, starts nothing and writes no file: what is shown can be shown again from a saved run.
"""
