"""What the saved keys may do. Services do not like to be asked often, so their answers are kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from moorage.cache import AgingCache
from moorage.clock import Clock
from moorage.models import KeyCheck
from moorage.plugins import Plugins

DAY_SECONDS = 86_400.0
AGAIN_SECONDS = 60.0
KEPT = 100


class Keys:
    """`host.keys`."""

    def __init__(self, plugins: Plugins, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._plugins = plugins
        self._clock = clock
        self._kept: AgingCache[KeyCheck] = AgingCache(KEPT, monotonic)
        plugins.on_change(self._kept.clear)

    def known(self, plugin: str) -> KeyCheck | None:
        """What was said within the last day, for the settings that hold now; asks nobody."""
        return self._kept.get(plugin, DAY_SECONDS)

    def check(self, plugin: str) -> KeyCheck | None:
        """Whose key a plugin has and what it may do; asked at most once a minute. None without a key.

        Raises AuthFailed for a key that is not accepted, and Unsupported where the plugin cannot tell.
        """
        kept = self._kept.get(plugin, AGAIN_SECONDS)
        if kept is not None:
            return kept
        epoch = self._kept.epoch
        found = self._plugins.check_key(plugin)
        if found is not None:
            found = found.model_copy(update={"checked_at": self._clock()})
            self._kept.put(plugin, found, epoch)
        return found
