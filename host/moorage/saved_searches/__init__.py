"""Searches that are kept and run once a day: what is new since the last look, and what may be installed of it."""

from moorage.saved_searches.service import SavedSearches

__all__ = ["SavedSearches"]
