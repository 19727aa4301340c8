"""The browser under the name that the tests of the blocks use."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser


@pytest.fixture
def chromium(browser: Browser) -> Browser:
    return browser
