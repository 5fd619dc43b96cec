"""A violation as a story: which buyer bought what, when, and why that is wrong. Draws nothing, judges nothing."""

from ticketlab.report.explain.story import TERMS, Story, Term, story_of

__all__ = ["TERMS", "Story", "Term", "story_of"]
