"""Numbers for Prometheus: what the host counts anyway, read when somebody asks. Each answer has its own registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from moorage.host import Host

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(host: Host) -> bytes:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_HostCollector(host))
    return generate_latest(registry)


class _HostCollector(Collector):
    def __init__(self, host: Host) -> None:
        self._host = host

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("moorage_info", "The version that runs.", labels=["version"])
        info.add_metric([self._host.version], 1)
        yield info
        events = CounterMetricFamily("moorage_events", "What happened since the start.", labels=["type"])
        for type, count in sorted(self._host.events.counts().items()):
            events.add_metric([type], count)
        yield events
        plugins = GaugeMetricFamily("moorage_plugins", "Plugins by state.", labels=["state"])
        for state, number in sorted(Counter(plugin.state for plugin in self._host.plugins.list()).items()):
            plugins.add_metric([state], number)
        yield plugins
        installs = GaugeMetricFamily("moorage_installs", "Installs by state.", labels=["state"])
        for phase, number in sorted(self._host.installs.counts().items()):
            installs.add_metric([phase], number)
        yield installs
