"""Getting the bytes of one part: requests, retries, and what to do with each kind of failure."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

from pydantic import SecretStr

from moorage.errors import BadAnswer, MoorageError, RateLimited, Unreachable
from moorage.fetch.answers import Expired, StartOver, check, check_start, strong_etag
from moorage.fetch.part import PartFile
from moorage.fetch.throttle import Throttle
from moorage.http import CallScope, HttpClient
from moorage.models import FilePart

SLOWEST = 1000  # bytes per second
LONGEST_WAIT = 60.0
LINKS_PER_HOUR = 5
LONGEST_STEP = 0.5  # seconds: how soon a cap that was changed takes effect


@dataclass(frozen=True)
class Patience:
    """When to give up.

    `silence`: seconds without a byte; `slow`: seconds below 1 kB/s; `tries`: failures without progress between them;
    `first_pause`: seconds before the second try.
    """

    silence: float = 30.0
    slow: float = 60.0
    tries: int = 8
    first_pause: float = 1.0

    def pause(self, failures: int) -> float:
        """Seconds before the next try: doubled each time, with jitter so that many do not come back at once."""
        return min(self.first_pause * 2.0 ** (failures - 1), LONGEST_WAIT) * random.uniform(0.75, 1.25)  # noqa: S311


class Transfer:
    """The transfer of one part into its file. `run` gives a message, or None for mere progress."""

    def __init__(
        self,
        http: HttpClient,
        scope: CallScope,
        part: FilePart,
        file: PartFile,
        key_for: Callable[[str], SecretStr | None],
        patience: Patience,
        throttle: Throttle,
    ) -> None:
        self._http = http
        self._scope = scope
        self._part = part
        self._file = file
        self._key_for = key_for
        self._patience = patience
        self._throttle = throttle
        self._restarts = 0
        self._links: deque[float] = deque(maxlen=LINKS_PER_HOUR)
        self._etags: set[str] = set()

    @property
    def has_changed(self) -> bool:
        """Whether the source sent more than one file, as far as its ETags tell."""
        return len(self._etags) > 1

    def run(self) -> Generator[str | None, None, None]:
        """Until the file has all its bytes, or an error that another try would not mend. May be run once more, for a
        file that was damaged."""
        failures = self._restarts = 0
        while self._file.offset < self._part.size:
            before = self._file.offset
            try:
                yield from self._once()
            except MoorageError as error:
                failures = 1 if self._file.offset > before else failures + 1
                pause = self._after(error, failures)
                yield f"{error} Trying again{f' in {pause:.0f} s' if pause >= 1 else ''}."
                self._scope.sleep(pause)

    def _after(self, error: MoorageError, failures: int) -> float:
        """How long to wait before another try; raises the error where there is no point in one."""
        if not error.retryable or failures > self._patience.tries:
            raise error
        if isinstance(error, RateLimited):
            if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
                raise error  # the host keeps the install waiting, so that others can go on
            return error.retry_after if error.retry_after is not None else self._patience.pause(failures)
        if isinstance(error, StartOver):
            self._restarts += 1
            if self._restarts > 1:
                raise BadAnswer(str(error), hint="The server cannot continue downloads. Try another file or mirror.")
            self._file.restart()
            return 0.0
        if isinstance(error, Expired):
            now = time.monotonic()
            if len(self._links) == LINKS_PER_HOUR and now - self._links[0] < 3600:
                raise Unreachable("The download links of the source keep expiring.", hint="Try again later.")
            self._links.append(now)
            return 0.0 if failures == 1 else self._patience.pause(failures)
        return self._patience.pause(failures)

    def _once(self) -> Generator[str | None, None, None]:
        """One request, and as much of its body as comes."""
        file, part = self._file, self._part
        etag = file.sidecar.etag
        if file.offset and part.sha256 is None and etag is None:
            file.restart()  # nothing would notice if the two halves were of two files
            yield f"{part.name} has to be fetched from its beginning: the source cannot tell whether it is the same."
        headers = {"Range": f"bytes={file.offset}-"} if file.offset else {}
        if file.offset and etag is not None:
            headers["If-Range"] = etag
        with self._http.download(
            part.url, headers=headers, key_for=self._key_for, idle_timeout=self._patience.silence
        ) as reply:
            goes_on = check(reply, part, file.offset, etag)
            now_etag = strong_etag(reply.headers)
            self._etags.update(each for each in (etag, now_etag) if each is not None)
            if not goes_on and file.offset:
                file.restart()
                changed = (
                    " seems to have changed at the source: it" if now_etag and etag not in (None, now_etag) else ""
                )
                yield f"{part.name}{changed} has to be fetched from its beginning."
            file.sidecar.etag = now_etag
            window, window_start = time.monotonic(), file.offset
            for chunk in reply.raw():
                if file.offset + len(chunk) > part.size:
                    raise BadAnswer(f"{part.name} is longer than the {part.size} bytes that were announced.")
                if file.offset == 0:
                    check_start(part, chunk)
                now = time.monotonic()
                file.append(chunk)
                if now - window > self._patience.slow:
                    if file.offset - window_start < SLOWEST * self._patience.slow:
                        raise Unreachable(f"The download of {part.name} has all but stopped.")
                    window, window_start = now, file.offset
                ticket = self._throttle.take(len(chunk))
                while pause := self._throttle.left(ticket):
                    self._scope.sleep(min(pause, LONGEST_STEP))
                    yield None
                yield None
                if file.offset == part.size:
                    return
                window += time.monotonic() - now  # to be held back, by the cap or the disk, is not to be slow
        if file.offset < part.size:
            raise Unreachable(f"The download of {part.name} ended early.")
