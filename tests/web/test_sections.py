"""What the page of installs shows of each section, and what it says of a queue."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import moorage_web
from moorage.errors import InvalidInput
from moorage.models import Install, WhenWindow, Window
from moorage_web.pages import night
from moorage_web.pages.neighbours import neighbours
from moorage_web.pages.sections import KINDS, LEAST, ROOM, ROWS, cut, shares, sorted_by_section
from tests.web.gallery import environment
from tests.web.samples import INSTALLS, NOW, QUIET, WAITING, install

KIND = {kind.key: kind for kind in KINDS}
SCRIPTS = ("theme", "events", "actions", "installs", "fragments")
FRAME = 5_000  # of what is around the rows
EMPTY = dict.fromkeys(KIND, 0)


def scheduled(number: int) -> list[Install]:
    """The one that was asked for first starts last."""
    return [
        install(
            f"s{at:04}",
            state="scheduled",
            created_at=NOW + timedelta(seconds=at),
            starts_at=NOW + timedelta(days=1, minutes=-at),
        )
        for at in range(number)
    ]


def test_all_of_a_section_page_by_page_the_soonest_first() -> None:
    items = sorted_by_section(scheduled(250))["scheduled"]
    assert items[0].id == "s0249"
    seen: list[str] = []
    cursor: str | None = None
    while True:
        section = cut(KIND["scheduled"], items, ROWS, cursor)
        assert section.count == 250
        assert len(section.items) <= ROWS
        seen += [item.id for item in section.items]
        cursor = section.next
        if cursor is None:
            break
    assert seen == [f"s{at:04}" for at in reversed(range(250))]


def test_nothing_is_skipped_when_the_last_one_shown_has_gone() -> None:
    items = sorted_by_section(scheduled(30))["scheduled"]
    first = cut(KIND["scheduled"], items, ROWS)
    second = cut(KIND["scheduled"], items[ROWS:], ROWS, first.next)
    assert [item.id for item in second.items] == [item.id for item in items[ROWS:]]


@pytest.mark.parametrize("cursor", ["nonsense", "1.0", "~", "x~y~z"])
def test_a_cursor_of_no_list(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="not one of this list"):
        cut(KIND["queue"], [], ROWS, cursor)


def test_the_queue_in_its_turn_and_what_is_paused_last() -> None:
    found = sorted_by_section(
        [
            install("paused", state="paused", order=1.0),
            install("second", state="queued", order=3.0),
            install("resting", state="waiting", reason="quiet hours", order=2.0),
            install("stuck", state="waiting", reason="disk", order=0.5),
        ]
    )
    assert [item.id for item in found["queue"]] == ["resting", "second", "paused"]
    assert [item.id for item in found["attention"]] == ["stuck"]


def test_the_sections_share_the_room() -> None:
    assert shares(EMPTY | {"scheduled": 1000}) == EMPTY | {"scheduled": ROOM}
    assert shares(EMPTY | {"scheduled": 1000, "history": 2000}) == EMPTY | {
        "scheduled": ROOM // 2,
        "history": ROOM // 2,
    }
    few = EMPTY | {"running": 2, "queue": 3, "history": 4}
    assert shares(few) == few, "where there is room for all, all are shown"
    crowd = shares({"running": 16, "attention": 90, "queue": 90, "scheduled": 90, "history": 90})
    assert crowd["running"] == 16
    assert min(crowd.values()) == LEAST
    assert sum(crowd.values()) <= 16 + 4 * LEAST


def words(place: object) -> str:
    template = environment().from_string(
        '{% from "components/installs.html" import install_row %}{{ install_row(item, "Here", place=place) }}'
    )
    return " ".join(template.render(item=install("a", state="queued"), place=place).split())


def test_what_a_queued_install_waits_for_in_words() -> None:
    running = [install("r", state="running", target="one")]
    queue = [install(id, state="queued", target=target) for id, target in [("a", "one"), ("b", "one"), ("c", "two")]]
    queue.append(install("d", state="queued", target="one"))
    found = neighbours(queue, running, limit=3, per_target=1)
    assert "Next on this target." in words(found["a"])
    assert "Behind 1 other on this target." in words(found["b"])
    assert "Behind 2 others on this target." in words(found["d"])
    assert "Next on this target." in words(found["c"])
    full = neighbours(queue, running, limit=1, per_target=1)
    assert "The limit of 1 install at a time is reached." in words(full["c"])
    assert "Next on this target." in words(full["a"]), "its target is at work, whatever the limit"
    assert "of 2 installs at a time" in words(neighbours(queue[2:3], running * 2, limit=2)["c"])
    assert [found["b"].above, found["b"].below] == [queue[0], queue[2]]


def test_a_strip_shows_some_windows_and_counts_the_rest() -> None:
    def within(minute: int, id: str) -> Install:
        window = Window(from_=f"22:{minute:02}", to="06:00", time_zone="UTC")
        return install(id, state="scheduled", when=WhenWindow(window=window))

    many = [within(minute, f"w{minute}") for minute in range(40)] + [within(59, "x"), within(59, "y")]
    found = night.night_of(many, QUIET, ZoneInfo("UTC"), NOW)
    assert found is not None
    windows = [part for part in found.parts if part.kind == "window"]
    assert len(windows) == night.WINDOWS
    assert (windows[0].start, windows[0].count) == ("22:59", 2)
    assert found.more == 42 - sum(part.count for part in windows)
    template = environment().from_string('{% from "components/installs.html" import night %}{{ night(found) }}')
    assert f"{found.more} installs in other windows" in template.render(found=found)


def test_the_heaviest_rows_fit_into_a_page() -> None:
    """A row of the queue has the most buttons; those that run come all, up to the 16 that may."""
    static = Path(moorage_web.__file__).parent / "static"
    files = ["css/base.css", "css/components.css", "css/installs.css", *(f"js/{name}.js" for name in SCRIPTS)]
    room = 100_000 - sum((static / name).stat().st_size for name in files) - FRAME
    model = "mistralai-community/Harbour-Instruct-24B-v0.3-GGUF"
    queue = [install(f"install-{at:012}", model=model, state="queued", order=float(at)) for at in range(ROWS + 2)]
    places = neighbours(queue, [install("r", state="running")])
    template = environment().from_string(
        '{% from "components/installs.html" import install_row %}'
        '{% for item in items %}{{ install_row(item, "Workshop server", speeds, places.get(item.id)) }}{% endfor %}'
    )
    assert len(template.render(items=queue[1:-1], speeds=(), places=places)) < room
    running = [
        install(f"running-{at:012}", model=model, state="running", phase="downloading", completed=10**9, attempt=2)
        for at in range(16)
    ]
    least = [*queue[1 : 1 + LEAST], *WAITING[:LEAST], *INSTALLS[6 : 6 + LEAST], *INSTALLS[9 : 9 + LEAST]]
    speeds = [24_512_345.0 + second for second in range(60)]
    assert len(template.render(items=[*running, *least], speeds=speeds, places=places)) < room
