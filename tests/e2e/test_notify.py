"""The webhook example as a distribution: built, installed and found by its entry point, like that of anybody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.api import Api
from tests.process import serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "moorage-notify"
WEBHOOK = "http://127.0.0.1:65529/hooks/secret-of-the-hook"


def test_it_is_installed_and_configured(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "--no-cache-dir", "--target", str(folder), str(EXAMPLE)],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    with serving(tmp_path / "home", {"PYTHONPATH": str(folder)}) as running, Api(running.url) as api:
        plugin = next(item for item in api.get("/api/plugins")["plugins"] if item["name"] == "notify")
        assert (plugin["state"], plugin["distribution"], plugin["version"]) == (
            "needs-config",
            "moorage-notify",
            "1.0.0",
        )
        assert plugin["hooks"] == ["on_event", "register_config"]
        card = api.page("/plugins").partition('id="plugin-notify"')[2].partition("</section>")[0]
        assert "Its settings are not complete: webhook is required" in card
        view = api.get("/api/plugins/notify/config")
        saved = api.put("/api/plugins/notify/config", {**view, "values": {"webhook": WEBHOOK, "updated": False}})
        assert saved["values"]["webhook"] == {"set": True, "hint": "…hook"}
        assert (saved["values"]["installed"], saved["values"]["updated"]) == (True, False)
        assert "secret-of-the-hook" not in api.page("/plugins")
        assert next(item for item in api.get("/api/plugins")["plugins"] if item["name"] == "notify")["state"] == "ready"
