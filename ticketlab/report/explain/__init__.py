"""A violation as a story: who bought what, when, and why that is wrong, in sentences. Draws nothing, judges nothing."""

from ticketlab.report.explain.glossary import TERMS, Term
from ticketlab.report.explain.story import Story, story_of

__all__ = ["TERMS", "Story", "Term", "story_of"]
