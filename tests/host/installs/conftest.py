"""A Hub on loopback, and a host whose downloads give up soon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moorage.fetch import Patience
from moorage.host import Host
from tests.conftest import MakeHost
from tests.fakes.hub import FakeHub
from tests.host.installs.story import Story


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        yield running


@pytest.fixture
def host(make_host: MakeHost, hub: FakeHub) -> Host:
    """A host whose downloads give up soon."""
    made = make_host(environment={"HF_ENDPOINT": hub.url})
    made.downloader._patience = Patience(silence=5.0, tries=1, first_pause=0.05)
    return made


@pytest.fixture
def story(host: Host) -> Story:
    return Story(host)
