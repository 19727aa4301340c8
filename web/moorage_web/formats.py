"""How numbers and times read on a page: short on the page, exact in the title."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from urllib.parse import urlencode

from markupsafe import Markup, escape

_UNKNOWN = "—"


def compact(number: float | None) -> str:
    """A count in at most three digits: 950, 12 k, 1.2 M."""
    if number is None:
        return _UNKNOWN
    return _scaled(number, 1000, ("", " k", " M", " B"), whole="")


def size(amount: float | None) -> str:
    """Bytes in decimal units, as disks and the Hub count them: 4.1 GB."""
    if amount is None:
        return _UNKNOWN
    return _scaled(amount, 1000, (" B", " kB", " MB", " GB", " TB"), whole=" B")


def memory(amount: float | None, unit: str = " GiB") -> str:
    """Memory in binary units, as systems count it: 3.1 GiB."""
    if amount is None:
        return _UNKNOWN
    return f"{amount / 2**30:.1f}{unit}" if amount >= 0.05 * 2**30 else f"under 0.1{unit}"


def price(dollars: float | None) -> str:
    """A price in USD with two digits behind the point, or as many as a small one needs: $0.05, $1.20, $0.004."""
    if dollars is None:
        return _UNKNOWN
    if dollars == 0:
        return "free"
    return f"${dollars:.2f}" if dollars >= 0.0095 else f"${dollars:.1g}"


def speed(bytes_per_second: float | None) -> str:
    return _UNKNOWN if bytes_per_second is None else f"{size(bytes_per_second)}/s"


def parameters(weights: int | None) -> str:
    """A parameter count as model names write it: 135M, 1.7B, 70B."""
    if weights is None:
        return _UNKNOWN
    return _scaled(weights, 1000, ("", "K", "M", "B", "T"), whole="")


def context(tokens: int | None) -> str:
    """A context length as model cards write it: 128K for 131,072; else all digits."""
    if tokens is None:
        return _UNKNOWN
    return f"{tokens // 1024}K" if tokens >= 1024 and tokens % 1024 == 0 else exact(tokens)


def duration(seconds: float | None) -> str:
    """A length of time, in seconds: under 0.1 s, 0.4 s, 12 s, 12 min, 3 h 20 min, 2 days."""
    if seconds is None:
        return _UNKNOWN
    if 0 < seconds < 0.05:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(minutes / 1440)} days"


def rate(per_second: float) -> str:
    """The pace of an answer: 8.4 tokens/s, 120 tokens/s."""
    return f"{per_second:.1f} tokens/s" if per_second < 99.95 else f"{exact(per_second)} tokens/s"


def exact(number: float | None) -> str:
    """All digits, in groups of three: 1,234,567."""
    return _UNKNOWN if number is None else f"{number:,.0f}"


def percent(part: float | None, whole: float | None) -> str:
    """Rounded down, so that 100 % means all of it."""
    if part is None or not whole:
        return _UNKNOWN
    return f"{min(100, int(part * 100 / whole))} %"


def ago(moment: datetime, now: datetime) -> str:
    """A time relative to `now`: just now, 3 min ago, in 2 h, 5 days ago; from a month on the date."""
    seconds = (now - moment).total_seconds()
    distance = abs(seconds)
    if distance < 45:
        return "just now" if seconds >= 0 else "in a moment"
    if distance < 86400 * 30:
        rounded = duration(_coarse(distance))
        rounded = "1 day" if rounded == "24 h" else rounded
        return f"{rounded} ago" if seconds > 0 else f"in {rounded}"
    return f"{moment.day} {moment:%b %Y}"


def clock(moment: datetime, zone: tzinfo) -> str:
    """The exact time in the person's zone: 24 Nov 2026, 22:22:05 CET; in UTC where that zone has no such year."""
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        local = moment.astimezone(UTC)
    return f"{local.day} {local:%b %Y, %H:%M:%S %Z}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A count with its noun: 1 file, 3 files."""
    return f"{exact(number)} {one if number == 1 else many or one + 's'}"


def titled(short: str, title: str) -> Markup:
    return Markup('<span title="{}">{}</span>').format(title, short)


def count_markup(number: float | None) -> str:
    """A compact count with all its digits in the title."""
    return _UNKNOWN if number is None else titled(compact(number), exact(number))


def size_markup(amount: float | None) -> str:
    """A size with its bytes in the title."""
    return _UNKNOWN if amount is None else titled(size(amount), f"{exact(amount)} bytes")


def time_markup(moment: datetime | None, now: datetime, zone: tzinfo) -> str:
    """A `<time>` element: relative on the page, exact in the title."""
    if moment is None:
        return _UNKNOWN
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), clock(moment, zone), ago(moment, now)
    )


def coded(text: str | None) -> Markup:
    """A sentence with what stands between backticks as code."""
    parts = (text or "").split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner is one of the text
        return escape(text or "")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def query_url(path: str, args: Mapping[str, str] | Iterable[tuple[str, str]], **changes: str | None) -> str:
    """`path` with the query `args`, some of them changed, or left out where the change is None."""
    pairs = args.items() if isinstance(args, Mapping) else args
    kept = [(key, value) for key, value in pairs if key not in changed_keys(changes) and value != ""]
    kept += [(key.rstrip("_"), value) for key, value in changes.items() if value is not None]
    return f"{path}?{urlencode(kept)}" if kept else path


def changed_keys(changes: Mapping[str, str | None]) -> frozenset[str]:
    return frozenset(key.rstrip("_") for key in changes)


def _scaled(number: float, step: int, units: tuple[str, ...], whole: str) -> str:
    value, unit = float(number), 0
    while abs(value) >= step - step / 2000 and unit < len(units) - 1:
        value, unit = value / step, unit + 1
    if unit == 0:
        return f"{value:.0f}{whole}"
    text = f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"
    return text.removesuffix(".0") + units[unit]


def _coarse(seconds: float) -> float:
    """Whole minutes below an hour, whole hours below two days: nobody wants '3 h 12 min ago'."""
    if seconds < 3570:
        return max(60, round(seconds / 60) * 60)
    return round(seconds / 3600) * 3600
