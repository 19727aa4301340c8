"""Installs over hours and restarts, as they look in the browser: two tabs, a time, a night, a newer revision."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from moorage.models import Install
from tests.api import Api
from tests.fakes.faults import Fault
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.repo import Repo
from tests.process import Commands, Serving, serving
from tests.screenshots import SKIFF
from tests.site import Site
from tests.world import REAL, World

pytestmark = pytest.mark.browser
SECONDS = 60_000
LIVE = 3_000  # milliseconds in which an open page shows what has happened
RECONNECTED = 15_000  # the same after the server was away: a browser tries again after some seconds
LEAD = timedelta(seconds=15)  # how far ahead a time must be, for all that is done before it
DOWNLOADED = re.compile(r"[\d.]+ MB of [\d.]+ MB.*[\d.]+ [kM]B/s", re.DOTALL)
KOLKATA = ZoneInfo("Asia/Kolkata")  # ahead by a half hour, and without summer time


@contextmanager
def tab(browser: Browser, url: str, *expected: str) -> Iterator[Page]:
    """A tab in a profile of its own; what it complains about fails the test, but for what is expected."""
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    complaints: list[str] = []
    context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert [text for text in complaints if not any(part in text for part in expected)] == []


def throttle(world: World, speed: float) -> None:
    world.hub.cdn.faults.append(Fault(times=None, bytes_per_second=speed))


def plan(page: Page, words: str, model: str, target: str) -> None:
    """From the search to the page that says what an install would do."""
    page.goto("/models")
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name=model).click()
    page.get_by_label("Install on").select_option(target)
    page.get_by_role("button", name="See the plan first").click()


def press(row: Locator, name: str) -> None:
    row.get_by_role("button", name=name, exact=True).click()


def says(row: Locator, word: str, milliseconds: float = LIVE) -> None:
    expect(row.locator(".badge", has_text=word)).to_be_visible(timeout=milliseconds)


def text_of(page: Page) -> str:
    return " ".join(page.locator("#install-sections").inner_text().split())


def mark(page: Page) -> None:
    """A page that is loaded anew forgets it."""
    page.evaluate("window.theSame = true")


def is_the_same(page: Page) -> bool:
    return bool(page.evaluate("window.theSame === true"))


def slow_install(running: Site, world: World) -> Install:
    throttle(world, 1_000_000)
    return running.host.installs.request("huggingface", SKIFF, target="builtin", quantization="Q4_K_M")[0]


# -- at a time ------------------------------------------------------------------------------------------------------


def next_minute(zone: ZoneInfo) -> datetime:
    return (datetime.now(zone) + LEAD + timedelta(minutes=1)).replace(second=0, microsecond=0)


@pytest.mark.engine
@pytest.mark.timeout(240)
def test_an_install_for_the_next_minute_outlives_its_tab_and_its_server(
    browser: Browser, tmp_path: Path, world: World
) -> None:
    throttle(world, 15_000_000)
    home = tmp_path / "home"
    with serving(home, world.environment) as first:
        with tab(browser, first.url) as page:
            page.goto("/settings")
            page.get_by_label("Time zone").fill(KOLKATA.key)
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_text("Saved. It is in force already.")).to_be_visible()
            plan(page, "smollm2", REAL, "builtin")
            page.get_by_label("At a time").check()
            minute = next_minute(KOLKATA)
            page.get_by_label(f"Date and time, {KOLKATA.key}").fill(f"{minute:%Y-%m-%dT%H:%M}")
            page.get_by_role("button", name="Install", exact=True).click()
            expect(page).to_have_url(re.compile("/installs$"))
            says(page.locator(".install-row"), "Scheduled")
        first.kill()

    with serving(home, world.environment) as second:
        with tab(browser, second.url) as page:
            page.goto("/installs")
            says(page.locator(".install-row"), "Scheduled")
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(10) == 0

    with serving(home, world.environment) as third, Api(third.url) as api, tab(browser, third.url) as page:
        page.goto("/installs")
        row = page.locator(".install-row")
        says(row, "Scheduled")
        expect(row).to_contain_text("starts")
        assert datetime.now(KOLKATA) < minute, "all of that was before its time"
        until = (minute - datetime.now(KOLKATA)).total_seconds() * 1000
        says(row, "Downloading", until + 5_000)
        expect(page.locator("#section-running")).to_be_visible()
        expect(row).to_contain_text(DOWNLOADED, timeout=LIVE)
        says(row, "Installed", SECONDS)
        expect(page.locator("#section-running")).to_have_count(0)
        with tab(browser, third.url) as fresh:
            fresh.goto("/installs")
            row = fresh.locator(".install-row")
            expect(row).to_have_count(1)
            says(row, "Installed")
            says(row, "Chats")
            expect(row).to_contain_text(re.compile(r"\d tokens/s"))
            row.get_by_role("link", name=REAL).click()
            expect(fresh.locator("#install-details")).to_contain_text(f"When{minute.day} {minute:%b %Y, %H:%M}:00 IST")
            story = [entry.inner_text() for entry in fresh.locator(".timeline .moment > p:first-of-type").all()]
        (record,) = api.get("/api/installs")["installs"]
    assert story[-1] == "Asked for in the browser."
    assert story[0].startswith("Installed as ")
    told = ["Started.", "Downloading.", "Trying the model."]
    assert [text for text in reversed(story) if text in told] == told
    assert record["attempt"] == 1
    assert 0 <= (datetime.fromisoformat(record["startedAt"]) - minute).total_seconds() < 5
    assert record["proof"]["chat"]["ok"]


# -- two tabs -------------------------------------------------------------------------------------------------------


def test_two_tabs_show_the_same(browser: Browser, running: Site, world: World) -> None:
    install = slow_install(running, world)
    with tab(browser, running.url) as one, tab(browser, running.url) as other:
        rows = [page.locator(f"#install-{install.id}") for page in (one, other)]
        for page, row in zip((one, other), rows, strict=True):
            page.goto("/installs")
            says(row, "Downloading", 15_000)
            mark(page)
        press(rows[0], "Pause")
        for page, row in zip((one, other), rows, strict=True):
            says(row, "Paused")
            expect(page.locator("#section-queue")).to_be_visible()
            expect(page.locator("#section-running")).to_have_count(0)
        press(rows[1], "Resume")
        for row in rows:
            says(row, "Downloading")
        press(rows[0], "Pause")
        for page, row in zip((one, other), rows, strict=True):
            says(row, "Paused")
            expect(page.locator("#section-running")).to_have_count(0)
            assert is_the_same(page)
        live = [text_of(page) for page in (one, other)]
        for page in (one, other):
            page.reload()
        assert [text_of(page) for page in (one, other)] == live, "what came by itself is what a new page shows"
        assert live[0] == live[1]
        assert re.search(r"[\d.]+ [kM]B of 226 MB", live[0]), live[0]


def test_a_press_in_a_tab_that_is_out_of_date_does_nothing(browser: Browser, running: Site, world: World) -> None:
    install = slow_install(running, world)

    def silent(route: Route) -> None:
        """The stream of events opens, and says nothing."""
        route.fulfill(status=200, content_type="text/event-stream", body="retry: 3600000\n\n")

    with tab(browser, running.url) as fresh, tab(browser, running.url, "status of 409") as stale:
        stale.route("**/api/events", silent)
        row, old = (page.locator(f"#install-{install.id}") for page in (fresh, stale))
        for page, its in ((fresh, row), (stale, old)):
            page.goto("/installs")
            says(its, "Downloading", 15_000)
        stale.wait_for_timeout(1_500)  # until it has made itself up to date, once, as a page does when it opens
        for button, word in (("Pause", "Paused"), ("Resume", "Downloading"), ("Pause", "Paused")):
            press(row, button)
            says(row, word)
        says(old, "Downloading")
        press(old, "Cancel")
        expect(stale.get_by_role("alert")).to_contain_text("changed in the meantime")
        says(old, "Paused")
        assert running.host.installs.get(install.id).state == "paused", "nothing was done"
        press(old, "Cancel")
        expect(stale.get_by_role("alert")).to_have_count(0)
        says(old, "Cancelled")
        says(row, "Cancelled")


@pytest.mark.parametrize("how", ["sigterm", "kill"])
def test_a_page_outlives_its_server(browser: Browser, tmp_path: Path, world: World, how: str) -> None:
    """It picks up by itself, also what no event has told it of, and hears what happens from then on."""
    throttle(world, 1_000_000)
    home = tmp_path / "home"
    asked = {"source": "huggingface", "model": SKIFF, "quantization": "Q4_K_M", "target": "builtin"}
    lost = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    with serving(home, world.environment) as first, tab(browser, first.url, *lost) as page:
        with Api(first.url) as api:
            id = api.post("/api/llm/models/import", asked, status=202)["id"]
        page.goto("/installs")
        row = page.locator(f"#install-{id}")
        says(row, "Downloading", 15_000)
        expect(row).to_contain_text(DOWNLOADED, timeout=15_000)
        mark(page)
        end(first, how)
        Commands(home, world.environment)("installs", "pause", id)
        says(row, "Downloading")
        with serving(home, world.environment, "--port", str(urlsplit(first.url).port)) as second:
            assert second.url == first.url
            says(row, "Paused", RECONNECTED)
            with Api(second.url) as api:
                api.post(f"/api/installs/{id}/resume")
            says(row, "Downloading")
            expect(row).to_contain_text(DOWNLOADED, timeout=15_000)
            assert is_the_same(page)


def end(running: Serving, how: str) -> None:
    running.process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGKILL)
    running.process.wait(10)


# -- nights ---------------------------------------------------------------------------------------------------------


def test_a_nightly_window_and_start_now(page: Page, running: Site, world: World) -> None:
    throttle(world, 1_000_000)
    begins = datetime.now(KOLKATA) + timedelta(hours=3)
    ends, later = begins + timedelta(hours=2), begins + timedelta(days=2)
    plan(page, "skiff", SKIFF, "builtin")
    page.get_by_label("In a nightly window").check()
    page.get_by_label("From", exact=True).fill(f"{begins:%H:%M}")
    page.get_by_label("To", exact=True).fill(f"{ends:%H:%M}")
    page.get_by_label("Time zone").fill(KOLKATA.key)
    for day in (begins, later):
        page.get_by_label(f"{day:%a}", exact=True).check()
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page).to_have_url(re.compile("/installs$"))

    days = [f"{day:%a}" for day in sorted((begins, later), key=datetime.weekday)]
    hours = f"between {begins:%H:%M} and {ends:%H:%M}"
    row = page.locator(".install-row")
    says(row, "Scheduled")
    expect(row).to_contain_text(re.compile("starts in [23] h"))
    expect(row).to_contain_text(f"{hours} on {', '.join(days)}, {KOLKATA.key}")
    words = f"1 install {hours} ({KOLKATA.key}), {', '.join(days)}"
    night = page.locator("figure.night")
    expect(night.locator("figcaption")).to_contain_text(words)
    expect(night.locator("svg")).to_have_attribute("aria-label", re.compile(f"^{re.escape(words)}. Now it is"))
    bars = night.locator("rect.window")
    begin, now = float(bars.last.get_attribute("x") or 0), float(night.locator("line.now").get_attribute("x1") or 0)
    assert 177 <= (begin - now) % (24 * 60) <= 180, "minutes, on the person's clock"

    press(row, "Start now")
    says(row, "Downloading", 15_000)
    expect(page.locator("#section-running")).to_be_visible(timeout=LIVE)
    expect(page.locator("#section-scheduled")).to_have_count(0)
    expect(night).to_have_count(0)
    running.host.installs.cancel(running.host.installs.list().items[0].id)


# -- newer revisions ------------------------------------------------------------------------------------------------


def test_a_newer_revision_is_told_and_installed(
    page: Page, running: Site, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.search.details.FRESH_SECONDS", 0.0)  # a day passes between two looks
    file = "Buoy-Q4_K_M.gguf"
    repo = world.hub.add(Repo("skipper/Buoy-GGUF", {file: make_gguf(padding=b"1" * 100_000)}, gguf={}))
    ollama = running.host.providers.create("Workshop", "ollama", {"endpoint": world.ollama.url})
    first, _ = running.host.installs.request("huggingface", repo.id, target=ollama.id)
    page.goto("/installs")
    says(page.locator(f"#install-{first.id}"), "Installed", SECONDS)
    page.goto("/models")
    card = page.locator(f"#target-{ollama.id}")
    card.get_by_label(re.compile("When a newer revision")).select_option("tell")
    expect(card.get_by_text("Saved")).to_be_visible()

    page.goto("/installs")
    newer = page.locator(".badge", has_text="Newer revision")
    running.host.installs._updates.look()
    page.wait_for_timeout(1_500)
    expect(newer).to_have_count(0)
    revision = repo.push({file: make_gguf(padding=b"2" * 100_000)})
    running.host.installs._updates.look()
    says(page.locator(f"#install-{first.id}"), "Newer revision")
    page.goto("/models")
    expect(card.locator(".badge", has_text="Newer revision")).to_be_visible()
    card.get_by_role("link", name="Newer revision").click()
    row = page.locator(f"#install-{first.id}")
    expect(page.locator("#install-details")).to_contain_text(revision[:12])
    press(row, "Update")

    expect(page).to_have_url(re.compile("/installs$"))
    second = running.host.installs.list().items[0]
    assert second.id != first.id
    says(page.locator(f"#install-{second.id}"), "Installed", SECONDS)
    expect(newer).to_have_count(0)
    assert running.host.installs.get(second.id).revision == revision
    served = {layer.digest for model in world.ollama.store.models.values() for layer in model.layers}
    assert f"sha256:{repo.commits[-1].files[file].blob.sha256}" in served
    page.goto("/models")
    expect(card.locator(".badge", has_text="Newer revision")).to_have_count(0)
    expect(card.get_by_label(re.compile("When a newer revision"))).to_have_value("tell")


# -- disk -----------------------------------------------------------------------------------------------------------


def test_a_clean_up_frees_what_it_says_and_no_more(page: Page, running: Site, world: World, tmp_path: Path) -> None:
    models = tmp_path / "home" / "models"
    install = slow_install(running, world)
    page.goto("/installs")
    row = page.locator(f"#install-{install.id}")
    expect(row).to_contain_text(DOWNLOADED, timeout=15_000)
    press(row, "Pause")
    says(row, "Paused")
    page.goto("/models")
    expect(page.get_by_role("button", name="Clean up")).to_be_disabled()
    expect(page.get_by_text("Nothing to free")).to_be_visible()
    wanted = contents(models)
    assert [len(data) for name, data in wanted.items() if name.endswith(".part")] > [0]

    (models / "quarantine").mkdir(exist_ok=True)
    (models / "quarantine" / ("d" * 64)).write_bytes(bytes(3_000_000))
    (models / "partial" / f"{'e' * 64}.part").write_bytes(bytes(2_000_000))
    (models / "partial" / f"{'e' * 64}.json").write_text('{"offset": 2000000, "etag": null, "owners": []}')
    page.reload()
    expect(page.get_by_role("row", name=re.compile("Damaged, put aside Nothing 3 MB"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("On its way Nothing 2 MB"))).to_be_visible()
    partial = page.get_by_role("row").filter(has_text=re.compile(rf"On its way, .*{SKIFF}.* paused", re.DOTALL))
    expect(partial).to_be_visible()
    page.get_by_role("button", name="Clean up (frees 5 MB)").click()
    expect(page.get_by_role("status").filter(has_text="Cleaned up")).to_contain_text("5 MB freed")
    expect(page.get_by_role("button", name="Clean up")).to_be_disabled()
    assert contents(models) == wanted
    expect(partial).to_be_visible()


def contents(directory: Path) -> dict[str, bytes]:
    """Of all files in it but the locks."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}
