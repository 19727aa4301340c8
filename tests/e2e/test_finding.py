"""Finding the right model in a real browser: filters, pages, where each result can run, the panel; wide and narrow."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, Request, expect

from tests.e2e.test_search_flows import most_at_once
from tests.fakes.faults import Fault, rate_limited
from tests.fakes.repo import Repo, SparseFile
from tests.measures import SHIFT, SMALLEST_TARGET, WIDER_THAN_THE_SCREEN
from tests.screenshots import SKIFF
from tests.site import Site
from tests.world import REAL, SERVED, TOKEN, World

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 900), "phone": (360, 780)}
GATED = "northwind/Breeze-1B-GGUF"
LIST = "/api/models"
DETAILS = "/api/models/.+"
SECONDS = 20_000


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    """Every test here is run on a wide screen and on a phone."""
    made = context.new_page()
    width, height = SIZES[request.param]
    made.set_viewport_size({"width": width, "height": height})
    return made


@pytest.fixture
def desktop(context: BrowserContext) -> Page:
    return context.new_page()


def boats(world: World, number: int) -> list[str]:
    """So many small models, the one with the most downloads first."""
    ids = [f"fleet/Boat-{at:03}-GGUF" for at in range(number)]
    for at, id in enumerate(ids):
        files = {"boat-Q4_K_M.gguf": SparseFile(2_000_000 + at, at, head=b"GGUF")}
        world.hub.add(
            Repo(id=id, files=files, tags=("gguf",), apps=("ollama",), num_parameters=10**9, downloads=1000 - at)
        )
    return ids


def row(page: Page, id: str) -> Locator:
    return page.locator(f'[data-result="huggingface:{id}"]')


def line(page: Page, id: str, name: str) -> Locator:
    """One of the lines that say where a model can run."""
    return row(page, id).locator(".way", has=page.locator(".way-name", has_text=name))


def rows(page: Page) -> Locator:
    return page.locator("#results-list > li")


def chip(page: Page, text: str) -> Locator:
    return page.locator("#chips .chip", has_text=text)


def faults(page: Page) -> list[str]:
    wrong = [
        f"{item['id']}: {[node['html'] for node in item['nodes']][:3]}"
        for item in Axe().run(page, options={"rules": {"target-size": {"enabled": True}}}).response["violations"]
    ]
    if page.evaluate(WIDER_THAN_THE_SCREEN):
        wrong.append("it scrolls sideways")
    size, html = page.evaluate(SMALLEST_TARGET)
    return [*wrong, f"a target of {size} px: {html}"] if size < 24 else wrong


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))


# Filters


def test_chips_and_filters_are_one_and_stand_in_the_address(page: Page) -> None:
    page.goto("/?q=g")
    chip(page, "GGUF").click()
    expect(page).to_have_url(re.compile(r"[?&]format=gguf"))
    expect(chip(page, "GGUF")).to_have_class("chip chip-on")
    expect(page.locator("[data-count]")).to_have_text("1")
    expect(row(page, SERVED)).to_have_count(0)
    chip(page, "Up to 4B").click()
    expect(page).to_have_url(re.compile("maxParameters=4B"))
    chip(page, "Up to 8B").click()
    expect(page).to_have_url(re.compile("maxParameters=8B"))
    expect(chip(page, "Up to 4B")).to_have_class("chip")
    chip(page, "Open").click()
    expect(row(page, GATED)).to_have_count(0)
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Author").fill("harbour")
    expect(chip(page, "Author: harbour")).to_be_visible()
    expect(rows(page)).to_have_count(1)
    page.reload()
    expect(rows(page)).to_have_count(1)
    expect(page.locator("[data-count]")).to_have_text("4")
    assert [item.inner_text() for item in page.locator("#chips .chip-on").all()] == [
        "GGUF",
        "Up to 8B",
        "Open",
        "Author: harbour",
    ]
    for name in ("GGUF", "Up to 8B", "Open", "Author"):
        chip(page, name).click()
    expect(page).not_to_have_url(re.compile("format|author|gated|Parameters"))
    expect(row(page, GATED)).to_be_visible()


def test_the_hub_does_the_filtering(page: Page, world: World) -> None:
    page.goto("/?servedBy=groq&license=apache-2.0&language=&task=text-generation&minParameters=1B&sort=likes")
    expect(rows(page)).to_have_count(1)
    asked = dict(world.hub.seen("GET", LIST)[-1].query)
    assert asked["inference_provider"] == "groq"
    assert asked["filter"] == "license:apache-2.0"
    assert asked["pipeline_tag"] == "text-generation"
    assert asked["num_parameters"] == "min:1B"
    assert asked["sort"] == "likes"
    chip(page, "Licence: apache-2.0").click()
    expect(page).not_to_have_url(re.compile("license"))
    expect(row(page, SERVED)).to_be_visible()


def test_what_is_wrong_with_a_filter_is_said_and_stays(page: Page) -> None:
    page.goto("/?q=skiff&minParameters=7B&maxParameters=3B")
    expect(page.get_by_role("alert").first).to_contain_text("must not be above maxParameters")
    expect(page.get_by_label("Parameters, at least")).to_have_value("7B")
    page.get_by_label("Parameters, at least").fill("3X")
    expect(page.get_by_role("alert").first).to_contain_text("must be a number such as 3B")
    page.get_by_label("Parameters, at least").fill("")
    expect(row(page, SKIFF)).to_be_visible()


def test_a_slow_first_answer_is_dropped(page: Page, world: World) -> None:
    world.hub.faults.append(Fault(path=LIST, times=1, delay=2.0))
    page.goto("/")
    page.get_by_role("searchbox").fill("skiff")
    page.wait_for_timeout(500)
    page.get_by_role("searchbox").fill("pilot")
    expect(row(page, SERVED)).to_be_visible()
    page.wait_for_timeout(2200)
    expect(row(page, SERVED)).to_be_visible()
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=pilot$"))


def test_nothing_found_offers_less(page: Page) -> None:
    page.goto("/?q=skiff+sailing&maxParameters=4B&gated=false")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.locator(".empty .chip", has_text="Without: Open").click()
    expect(page).not_to_have_url(re.compile("gated"))
    page.get_by_text("Search for “skiff”").click()
    expect(row(page, SKIFF)).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value("skiff")
    expect(page).to_have_url(re.compile("maxParameters=4B"))


def test_what_is_left_of_a_limit_is_told(desktop: Page, world: World) -> None:
    world.hub.quotas["api"] = 20
    desktop.goto("/")
    for number in range(19):
        if number in (12, 18):
            desktop.goto(f"/?q=nothing{number}&gguf=1")
            desktop.goto(f"/?q=skiff&language=&limit={number + 1}")
            said = desktop.locator(".search-meta")
            expect(said).to_contain_text(re.compile(r"\d+ of 20 requests left"))
        used = len(world.hub.seen("GET", LIST))
        if used >= 18:
            break
        desktop.goto(f"/?q=pilot{number}")
    desktop.goto("/?q=skiff&limit=30")
    expect(desktop.locator(".notice-attention")).to_contain_text(re.compile(r"huggingface takes \d+ more request"))
    expect(desktop.locator(".notice-attention").get_by_role("link", name="Plugins")).to_be_visible()


# Page after page


def test_scrolling_brings_all_of_it_one_page_at_a_time(page: Page, world: World) -> None:
    ids = boats(world, 34)
    world.hub.faults.append(Fault(path=LIST, times=None, delay=0.1))
    page.goto("/?q=boat")
    expect(rows(page)).to_have_count(10)
    for _ in range(40):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(100)
        if rows(page).count() == 34 and not page.locator("[data-more]").count():
            break
    found = [item.get_attribute("data-result") for item in rows(page).all()]
    assert found == [f"huggingface:{id}" for id in ids]
    expect(page.locator("[data-more]")).to_have_count(0)
    assert most_at_once([seen for seen in world.hub.requests if seen.path == LIST]) == 1


def test_after_ten_pages_it_waits_for_a_click(desktop: Page, world: World) -> None:
    boats(world, 115)
    desktop.goto("/?q=boat")
    for _ in range(60):
        desktop.evaluate("scrollTo(0, document.body.scrollHeight)")
        desktop.wait_for_timeout(60)
        if rows(desktop).count() == 100:
            break
    desktop.wait_for_timeout(600)
    expect(rows(desktop)).to_have_count(100)
    desktop.locator("[data-more]").focus()
    desktop.keyboard.press("Enter")
    expect(rows(desktop)).to_have_count(110)
    assert focused(desktop) == "fleet/Boat-100-GGUF", "who asks by hand goes on at the first new one"


def test_a_page_that_fails_can_be_asked_for_again(desktop: Page, world: World) -> None:
    boats(world, 25)
    world.hub.faults.append(Fault(path=LIST, skip=1, times=1, status=503))
    desktop.goto("/?q=boat")
    expect(rows(desktop)).to_have_count(10)
    desktop.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(desktop.get_by_text("could not be searched")).to_be_visible()
    expect(rows(desktop)).to_have_count(10)
    desktop.wait_for_timeout(500)
    desktop.get_by_role("link", name="Try again").click()
    expect(rows(desktop)).not_to_have_count(10)
    expect(desktop.get_by_text("could not be searched")).to_have_count(0)


def test_a_reload_and_the_way_back_show_the_same(page: Page, world: World) -> None:
    ids = boats(world, 30)
    page.goto("/?q=boat")
    while rows(page).count() < 30:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(50)
    page.locator(f'[data-result$="{ids[24]}"] [data-panel]').click()
    expect(page.locator(".panel")).to_contain_text("Install it")
    expect(page).to_have_url(re.compile("open=huggingface%3Afleet%2FBoat-024"))
    page.reload()
    expect(rows(page)).to_have_count(30)
    expect(row(page, ids[24]).locator(".panel")).to_contain_text("Install it")
    page.goto("/installs")
    page.go_back()
    expect(rows(page)).to_have_count(30)
    expect(row(page, ids[24]).locator(".panel")).to_contain_text("Install it")
    assert len({item.get_attribute("data-result") for item in rows(page).all()}) == 30


def test_back_closes_what_was_opened_and_brings_the_search_back(page: Page, world: World) -> None:
    (boat,) = boats(world, 1)
    page.goto("/")
    page.get_by_role("searchbox").fill("boat")
    row(page, boat).locator("[data-panel]").click()
    expect(page.locator(".panel")).to_contain_text("Install it")
    page.go_back()
    expect(page.locator(".panel")).to_have_count(0)
    expect(page).to_have_url(re.compile("q=boat$"))
    page.go_forward()
    expect(row(page, boat).locator(".panel")).to_contain_text("Install it")


def test_an_address_with_a_model_alone_shows_it(page: Page) -> None:
    page.goto(f"/models?open=huggingface:{SKIFF}")
    expect(row(page, SKIFF).locator(".panel")).to_contain_text("Q4_K_M")
    page.goto(f"/?q=pilot&open=huggingface:{SKIFF}")
    expect(rows(page).first.locator(".panel")).to_contain_text("Q4_K_M")
    expect(row(page, SERVED)).to_be_visible()
    page.goto("/?open=huggingface:no/such-model")
    expect(page.locator(".panel")).to_contain_text("does not exist")


# The keyboard


def test_through_the_results_by_keyboard_alone(page: Page, world: World) -> None:
    ids = boats(world, 5)
    page.goto("/")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("boat")
    expect(rows(page)).to_have_count(5)
    page.keyboard.press("ArrowDown")
    assert focused(page) == ids[0]
    page.keyboard.press("End")
    assert focused(page) == ids[4]
    page.keyboard.press("ArrowUp")
    assert focused(page) == ids[3]
    page.keyboard.press("Home")
    assert focused(page) == ids[0]
    page.keyboard.press("Enter")
    expect(row(page, ids[0]).locator(".panel")).to_contain_text("Install it")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "context":
            break
    assert page.evaluate("document.activeElement.id") == "context"
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_have_count(0)
    assert focused(page) == ids[0]
    expect(page).to_have_url(re.compile("q=boat$"))
    page.keyboard.press("ArrowUp")
    assert focused(page) == "q"


# Where each result can run


def test_the_lines_of_a_result(page: Page, running: Site, world: World) -> None:
    running.host.providers.create("Workshop server", "ollama", {"endpoint": world.ollama.url})
    page.goto("/?q=i")
    served = line(page, SERVED, "Through the API")
    expect(served).to_contain_text("$0.05 in, $0.09 out")
    expect(served).to_contain_text("tools")
    served.get_by_role("link", name=re.compile("^Use")).hover()
    expect(line(page, SERVED, "Install")).to_contain_text("It has no GGUF file.")
    expect(line(page, SERVED, "Install").get_by_role("button")).to_be_disabled()
    row(page, SKIFF).scroll_into_view_if_needed()
    expect(line(page, SKIFF, "Through the API")).to_contain_text("No inference provider serves it now.")
    expect(line(page, SKIFF, "Through the API").get_by_role("button")).to_be_disabled()
    for name in ("On Workshop server", "On Built-in engine"):
        expect(line(page, SKIFF, name)).to_contain_text(re.compile("Q4_K_M.*226 MB.*Fits", re.DOTALL), timeout=SECONDS)
    row(page, GATED).scroll_into_view_if_needed()
    gated = line(page, GATED, "On Built-in engine")
    expect(gated).to_contain_text("Accept the licence", timeout=SECONDS)
    expect(gated.locator(".badge").last).to_have_attribute("title", re.compile("its licence is not accepted yet"))
    expect(gated.get_by_role("button")).to_be_disabled()
    assert page.evaluate(SHIFT) < 0.05, "the lines have had their space from the start"
    assert faults(page) == []
    line(page, SKIFF, "On Workshop server").get_by_role("button", name=re.compile("^Install")).click()
    expect(page.get_by_role("heading", name=SKIFF)).to_be_visible()
    expect(page.locator("dl")).to_contain_text("Workshop server")
    expect(page.locator("dl")).to_contain_text("Skiff-360M-Instruct-Q4_K_M.gguf")


def test_use_leads_to_the_form_with_the_model(page: Page) -> None:
    page.goto("/?q=pilot")
    line(page, SERVED, "Through the API").get_by_role("link", name=re.compile("^Use")).click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(SERVED)
    expect(page.get_by_role("heading", name="Add Hugging Face")).to_be_visible()


def under_way(page: Page) -> tuple[list[int], list[str]]:
    """How many fragments of lines were on their way at each step, and which rows were asked for."""
    counts, asked = [0], list[str]()

    def began(request: Request) -> None:
        if "fragment=where" in request.url:
            counts.append(counts[-1] + 1)
            asked.append(request.url)

    def ended(request: Request) -> None:
        if "fragment=where" in request.url:
            counts.append(counts[-1] - 1)

    page.on("request", began)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    return counts, asked


def test_rows_in_view_are_asked_for_four_at_a_time(page: Page, world: World) -> None:
    boats(world, 60)
    world.hub.faults.append(Fault(path=DETAILS, times=None, delay=0.3))
    counts, asked = under_way(page)
    page.goto("/?q=boat&limit=50")
    expect(rows(page)).to_have_count(50)
    expect(rows(page).nth(1).locator(".badge")).to_have_text("Fits", timeout=SECONDS)
    page.wait_for_timeout(1000)
    seen = len(set(asked))
    assert 2 <= seen < 15, "rows far below are not asked for"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1000)
    assert len(set(asked)) == seen, "neither are those that were passed by"
    assert max(counts) <= 4
    assert most_at_once([seen for seen in world.hub.requests if re.fullmatch(DETAILS, seen.path)]) <= 4


def test_what_nobody_waits_for_any_more_is_given_up(desktop: Page, world: World) -> None:
    boats(world, 10)
    world.hub.faults.append(Fault(path=DETAILS, times=4, delay=3.0))
    ended: list[str] = []
    desktop.on("requestfailed", lambda request: ended.append(request.url))
    desktop.goto("/?q=boat")
    expect(rows(desktop)).to_have_count(10)
    desktop.wait_for_timeout(700)
    desktop.get_by_role("searchbox").fill("smollm2")
    expect(line(desktop, REAL, "On Built-in engine")).to_contain_text("Fits", timeout=SECONDS)
    assert len([url for url in ended if "fragment=where" in url]) == 4


def test_a_limit_stops_the_rest_until_its_time(desktop: Page, world: World) -> None:
    boats(world, 8)
    desktop.set_viewport_size({"width": 1280, "height": 1800})
    desktop.goto("/")
    world.hub.faults.append(rate_limited(DETAILS, seconds=3, times=1))
    desktop.get_by_role("searchbox").fill("boat")
    expect(desktop.locator(".way-failed").first).to_contain_text("asks us to wait")
    expect(desktop.locator(".way-failed").first.get_by_role("link", name="Try again")).to_be_visible()
    before = len(world.hub.seen("GET", LIST + "/"))
    began = time.monotonic()
    desktop.wait_for_timeout(1000)
    assert len(world.hub.seen("GET", LIST + "/")) == before
    expect(desktop.locator(".result .badge", has_text="Fits")).to_have_count(8, timeout=SECONDS)
    assert time.monotonic() - began > 1.0
    expect(desktop.locator(".way-failed")).to_have_count(0)


def test_a_failure_is_said_in_the_row_and_asked_again_by_hand(page: Page, world: World) -> None:
    world.hub.faults.append(Fault(path=DETAILS, times=1, status=503))
    page.goto("/?q=skiff")
    failed = row(page, SKIFF).locator(".way-failed")
    expect(failed).to_contain_text("The Hub has a problem")
    failed.get_by_role("link", name="Try again").click()
    expect(line(page, SKIFF, "On Built-in engine")).to_contain_text("Fits", timeout=SECONDS)


# The panel


def open_panel(page: Page, path: str, id: str) -> Locator:
    page.goto(f"{path}&open=huggingface:{id}")
    panel = row(page, id).locator(".panel")
    expect(panel).to_be_visible(timeout=SECONDS)
    return panel


def test_the_panel_follows_target_and_context(page: Page, running: Site, world: World) -> None:
    far = running.host.providers.create("Far server", "ollama", {"endpoint": "http://10.9.8.7:11434"})
    panel = open_panel(page, "/?q=smollm2", REAL)
    expect(panel.get_by_label("Install on")).to_have_value(far.id)
    expect(panel.locator(".file .badge")).to_have_text("Not known"), "its memory is not that of this machine"
    expect(panel.locator(".file")).not_to_contain_text(" of ")
    panel.get_by_label("Install on").focus()
    panel.get_by_label("Install on").select_option("builtin")
    expect(panel.get_by_role("button", name="Install on Built-in engine")).to_be_enabled()
    expect(panel.get_by_label("Install on")).to_be_focused()
    expect(panel).to_contain_text("taken from the header of the file")
    expect(panel.locator(".file")).to_contain_text(re.compile(r"needs 0\.\d of \d+\.\d GiB"))
    small = panel.locator(".file .used").get_attribute("width")
    expect(panel.get_by_label("Context")).to_have_value("4096")
    assert panel.get_by_label("Context").locator("option").all_inner_texts() == ["2K", "4K", "8K"]
    panel.get_by_label("Context").focus()
    panel.get_by_label("Context").select_option("8192")
    expect(panel).to_contain_text("With 8K of context")
    expect(panel.get_by_label("Context")).to_be_focused()
    assert float(panel.locator(".file .used").get_attribute("width") or 0) > float(small or 0)
    expect(page).to_have_url(re.compile("target=builtin.*context=8192"))
    page.reload()
    expect(panel).to_contain_text("With 8K of context")
    expect(panel.get_by_label("Install on")).to_have_value("builtin")
    assert faults(page) == []


def test_install_waits_for_a_panel_that_is_changing(page: Page, running: Site, world: World) -> None:
    """Who chooses a target and presses the button at once gets that target."""
    running.host.providers.create("Workshop server", "ollama", {"endpoint": world.ollama.url})
    panel = open_panel(page, "/models?q=smollm2", REAL)
    panel.get_by_label("Install on").select_option("builtin")
    panel.get_by_role("button", name="See the plan first").click()
    expect(page.locator("dl")).to_contain_text("Built-in engine")


def test_files_in_the_order_of_size_and_the_choice_stays(page: Page) -> None:
    panel = open_panel(page, "/models?q=skiff", SKIFF)
    labels = [item.inner_text() for item in panel.locator(".file b").all()]
    assert labels == ["Q2_K", "Q4_K_M", "Q5_K_M", "Q8_0", "F16"]
    expect(panel.locator(".file", has_text="recommended")).to_contain_text("The usual choice: small, with little loss.")
    expect(panel.locator(".file input:checked")).to_have_value("Skiff-360M-Instruct-Q4_K_M.gguf")
    panel.locator(".file", has_text="Q8_0").click()
    panel.get_by_label("Context").select_option("2048")
    expect(panel).to_contain_text("With 2K of context")
    expect(panel.locator(".file input:checked")).to_have_value("Skiff-360M-Instruct-Q8_0.gguf")


def test_what_is_served_and_what_it_costs(page: Page) -> None:
    panel = open_panel(page, "/?q=pilot", SERVED)
    expect(panel.get_by_role("row", name=re.compile("novita"))).to_contain_text("$0.05")
    expect(panel.get_by_role("row", name=re.compile("together"))).to_contain_text("No")
    expect(panel.get_by_role("link", name="Use through Hugging Face")).to_be_visible()
    expect(panel.get_by_role("button", name="Install")).to_be_disabled()
    expect(panel).to_contain_text("It has no GGUF file, so it cannot be installed.")
    assert faults(page) == []


@pytest.mark.parametrize(
    ("state", "said", "hint"),
    [
        ("asked", "your account has no access", "Accept the licence or ask for access"),
        ("rejected", "its author has refused your account access", "Choose another model"),
        ("granted", "Open", ""),
    ],
)
def test_a_gate_says_what_it_takes(page: Page, world: World, state: str, said: str, hint: str) -> None:
    token = world.hub.tokens[TOKEN]
    if state == "granted":
        token.granted.add(GATED)
    elif state == "rejected":
        token.rejected.add(GATED)
    panel = open_panel(page, "/?q=breeze", GATED)
    expect(panel).to_contain_text(said)
    expect(panel).to_contain_text(hint)
    expect(panel.locator(".file")).to_contain_text("3 parts")
    install = panel.get_by_role("button", name="Install on Built-in engine")
    if state == "granted":
        expect(install).to_be_enabled()
        return
    expect(install).to_be_disabled()
    expect(panel.locator(".form-actions")).to_contain_text(said)
    link = panel.locator(".notice").get_by_role("link")
    expect(link).to_have_attribute("href", f"https://huggingface.co/{GATED}")


def test_what_is_not_a_model_is_only_named_and_names_that_ollama_cannot_take_are_explained(
    page: Page, running: Site, world: World
) -> None:
    gguf = {label: SparseFile(2_000_000 + at, at, head=b"GGUF") for at, label in enumerate(("Q4_K_M", "Q8_0", "F16"))}
    world.hub.add(
        Repo(
            id="fleet/Gig-1B-GGUF",
            files={
                "gig-1b-Q4_K_M.gguf": gguf["Q4_K_M"],
                f"{'g' * 90}-Q8_0.gguf": gguf["Q8_0"],
                "mmproj-gig-1b-F16.gguf": gguf["F16"],
            },
            tags=("gguf",),
            num_parameters=10**9,
        )
    )
    running.host.providers.create("Workshop server", "ollama", {"endpoint": world.ollama.url})
    panel = open_panel(page, "/?q=gig", "fleet/Gig-1B-GGUF")
    expect(panel.locator(".file")).to_have_count(2)
    expect(panel).to_contain_text("Also in this repository")
    expect(panel).to_contain_text("mmproj-gig-1b-F16.gguf (a projector for pictures")
    assert faults(page) == []


def test_many_files_are_not_all_shown_at_once(page: Page, world: World) -> None:
    files = {f"cog-Q{at % 8 + 1}_{at}.gguf": SparseFile(2_000_000 + at * 1000, at, head=b"GGUF") for at in range(30)}
    world.hub.add(Repo(id="fleet/Cog-1B-GGUF", files=files, tags=("gguf",), num_parameters=10**9))
    panel = open_panel(page, "/?q=cog", "fleet/Cog-1B-GGUF")
    expect(panel.locator(".file")).to_have_count(12)
    expect(panel.locator(".file input:checked")).to_have_count(1)
    panel.get_by_role("link", name="Show all 30 files").click()
    expect(panel.locator(".file")).to_have_count(30)


def test_states_are_accessible(page: Page) -> None:
    for address in ("/", "/?q=nothing-at-all", "/models?q=skiff", "/?minParameters=x"):
        page.goto(address)
        page.wait_for_timeout(600)
        assert faults(page) == [], address


# In forms


@pytest.fixture(params=["provider", "agent"])
def form(request: pytest.FixtureRequest, page: Page, running: Site) -> Iterator[Page]:
    """The two forms that have the search in them, with something typed already."""
    if request.param == "provider":
        page.goto("/settings/llm/new?type=huggingface")
    else:
        page.goto("/agents/new")
        page.get_by_text("A type and model of its own").click()
    page.get_by_label("Name", exact=True).fill("Kept")
    yield page
    expect(page.get_by_label("Name", exact=True)).to_have_value("Kept")
    page.get_by_role("button", name="Save").click()
    expect(page).not_to_have_url(re.compile("/new$|type="))
    host = running.host
    if request.param == "agent":
        assert [(agent.name, agent.llm.model) for agent in host.agents.list().items] == [("Kept", SERVED)]
    else:
        assert [(item.name, item.model) for item in host.providers.list().items if not item.preset] == [
            ("Kept", SERVED)
        ]


def model(page: Page) -> Locator:
    return page.locator("[data-query]")


def test_a_model_is_picked(form: Page) -> None:
    expect(chip(form, "Served by a provider")).to_have_class("chip chip-on")
    model(form).fill("pilot")
    expect(rows(form)).to_have_count(1)
    expect(line(form, SERVED, "Through the API")).to_contain_text("$0.05 in, $0.09 out")
    assert faults(form) == []
    model(form).press("ArrowDown")
    assert "Use this model" in focused(form)
    form.keyboard.press("Enter")
    expect(model(form)).to_have_value(SERVED)
    expect(model(form)).to_be_focused()
    expect(rows(form)).to_have_count(0)


def test_a_model_that_nobody_serves_says_so(form: Page, world: World) -> None:
    (boat,) = boats(world, 1)
    model(form).fill("boat")
    expect(form.get_by_text("Nothing found")).to_be_visible()
    chip(form, "Served by a provider").click()
    served = line(form, boat, "Through the API")
    expect(served).to_contain_text("No inference provider serves it now.")
    expect(served.get_by_role("button", name="Use this model")).to_be_disabled()
    row(form, boat).locator("[data-panel]").click()
    panel = row(form, boat).locator(".panel")
    expect(panel.get_by_role("link", name="Install it on this machine instead")).to_have_attribute(
        "href", re.compile("^/models")
    )
    expect(panel.locator("form, .file")).to_have_count(0)
    assert faults(form) == []
    panel.get_by_role("link", name="Install it on this machine instead").focus()
    form.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    assert focused(form) == boat
    form.get_by_text("Advanced").first.click()
    form.get_by_label("Endpoint").first.fill("https://models.example/v1")
    form.get_by_role("button", name="Search").click()
    expect(served.get_by_role("button", name="Use this model")).to_be_enabled()
    form.get_by_label("Endpoint").first.fill("")
    model(form).fill("pilot")
    row(form, SERVED).locator("[data-panel]").click()
    row(form, SERVED).locator(".panel").get_by_role("button", name="Use this model").click()
    expect(model(form)).to_have_value(SERVED)


def test_the_rest_of_the_search_in_a_form(form: Page, world: World) -> None:
    boats(world, 14)
    chip(form, "Served by a provider").click()
    model(form).fill("boat sailing")
    form.get_by_role("button", name="Search for “boat”").click()
    expect(model(form)).to_have_value("boat")
    expect(rows(form)).to_have_count(10)
    form.wait_for_timeout(600)
    expect(rows(form)).to_have_count(10)
    form.locator("#results").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    expect(rows(form)).to_have_count(14)
    form.locator("summary", has_text="Filters").click()
    form.get_by_label("Order").select_option("likes")
    form.get_by_label("Served by").fill("groq")
    expect(form.get_by_text("Nothing found")).to_be_visible()
    model(form).fill("pilot")
    model(form).press("Enter")
    form.get_by_role("button", name=re.compile("^Use this model")).click()
    expect(model(form)).to_have_value(SERVED)
    assert dict(world.hub.seen("GET", LIST)[-1].query)["sort"] == "likes"
