"""Resumable, verified downloads."""

from moorage.fetch.downloader import Downloader
from moorage.fetch.transfer import Patience

__all__ = ["Downloader", "Patience"]
