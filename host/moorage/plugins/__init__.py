"""How plugins are found, loaded, called, timed, contained and shown."""

from moorage.plugins.discovery import Candidate as Candidate
from moorage.plugins.discovery import Discover as Discover
from moorage.plugins.registry import Plugins as Plugins
