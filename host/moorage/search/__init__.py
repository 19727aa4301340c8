"""Searching all sources at once, and describing what was found."""

from moorage.search.service import Search, SearchFailed

__all__ = ["Search", "SearchFailed"]
