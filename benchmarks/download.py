"""1 GB over loopback beside curl and huggingface_hub, and how well a cap is held: `python -m benchmarks.download`.

All fetch the same file from the same server, which is a process of its own, by way of the same Hub; they take turns, so
that what else the machine does strikes all alike. Ours ends with a file that is hashed and synced; `sha256sum` hashes
after curl; huggingface_hub (without Xet) checks the size only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.hub import FakeHub
from tests.fakes.repo import Blob, Repo

from benchmarks.measure import Row, report
from moorage.fetch import Downloader
from moorage.http import HttpDoor
from moorage.models import FilePart

SIZE = 1024**3
TIMES = 5
NAME = "big-Q4_K_M.gguf"
MB = 1_000_000
CAP, CHANGED_CAP = 20 * MB, 40 * MB
CAP_SECONDS = 10.0


def serve(path: str) -> None:
    """Every request is for this file. The kernel copies it, so that the server is not what is measured."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection, path), daemon=True).start()


def _answer(connection: socket.socket, path: str) -> None:
    with connection, contextlib.suppress(ConnectionError), Path(path).open("rb") as file:
        asked = connection.recv(65536)
        size = os.fstat(file.fileno()).st_size
        found = re.search(rb"(?i)^range: bytes=(\d+)-", asked, re.MULTILINE)
        start = int(found[1]) if found else 0
        head = f'HTTP/1.1 {206 if found else 200} OK\r\nContent-Length: {size - start}\r\nETag: "big"\r\n'
        if found:
            head += f"Content-Range: bytes {start}-{size - 1}/{size}\r\n"
        connection.sendall(f"{head}Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n".encode())
        connection.sendfile(file, start)


@contextmanager
def source(folder: Path, size: int) -> Iterator[tuple[FakeHub, FilePart]]:
    """A Hub that sends on to a fast server."""
    path = folder / "served.gguf"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(0, size, 1024**2):
            block = b"GGUF" + os.urandom(min(1024**2, size - number) - 4)
            digest.update(block)
            file.write(block)
    command = [sys.executable, "-m", "benchmarks.download", "serve", str(path)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/f"
        with FakeHub() as hub:
            hub.cdn.sign = lambda folder, blob: url  # type: ignore[method-assign]
            repo = hub.add(Repo("acme/big", {NAME: Blob(path)}))
            link = f"{hub.url}/acme/big/resolve/{repo.sha}/{NAME}"
            yield hub, FilePart(name=NAME, size=size, sha256=digest.hexdigest(), url=link)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def speed(folder: Path, size: int = SIZE, times: int = TIMES) -> dict[str, list[float]]:
    """Seconds of each way, from nothing to the file that can be used."""
    os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    from huggingface_hub import hf_hub_download

    door = HttpDoor()
    with source(folder, size) as (hub, part):

        def ours(into: Path) -> None:
            for _ in Downloader(door, into, reserve=0).fetch((part,)):
                pass

        def curl(into: Path) -> None:
            into.mkdir()
            subprocess.run(["curl", "-sSfL", "-o", str(into / "f"), part.url], check=True)
            told = subprocess.run(["sha256sum", str(into / "f")], check=True, capture_output=True, text=True)
            assert told.stdout.startswith(str(part.sha256))

        def theirs(into: Path) -> None:
            hf_hub_download("acme/big", NAME, endpoint=hub.url, cache_dir=into, token=False)

        ways: dict[str, Callable[[Path], None]] = {"ours": ours, "curl": curl, "huggingface_hub": theirs}
        took: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(times + 1):
            names = list(ways)
            for name in names[turn % 3 :] + names[: turn % 3]:
                into = folder / f"{name}-{turn}"
                os.sync()
                began = time.perf_counter()
                ways[name](into)
                if turn:  # the first is to warm up
                    took[name].append(time.perf_counter() - began)
                shutil.rmtree(into)
    door.close()
    return took


def cap(folder: Path, seconds: float = CAP_SECONDS) -> list[tuple[str, float, float]]:
    """Two downloads at once under one cap, which is then changed: (what, bytes per second, the cap)."""
    rate, size = [CAP], int((CAP + CHANGED_CAP) * (seconds + 3))
    found = []
    door = HttpDoor()
    downloader = Downloader(door, folder / "models", reserve=0, rate=lambda: rate[0])
    with source(folder, size) as (_, part):
        parts = [part, part.model_copy(update={"sha256": "0" * 64})]  # the same bytes; neither comes to its end
        stop = threading.Event()

        def run(part: FilePart) -> None:
            fetching = downloader.fetch((part,))
            while not stop.is_set() and next(fetching, None) is not None:
                pass
            fetching.close()

        threads = [threading.Thread(target=run, args=(each,)) for each in parts]
        for thread in threads:
            thread.start()
        paths = [folder / "models" / "partial" / f"{each.sha256}.part" for each in parts]
        for what, limit in (("two downloads", CAP), ("changed while they run", CHANGED_CAP)):
            rate[0] = limit
            time.sleep(1)
            before, began = sum(path.stat().st_size for path in paths), time.monotonic()
            time.sleep(seconds)
            moved = sum(path.stat().st_size for path in paths) - before
            found.append((what, moved / (time.monotonic() - began), float(limit)))
        stop.set()
        for thread in threads:
            thread.join()
    door.close()
    return found


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as folder:
        took = speed(Path(folder))
    mine = statistics.median(took.pop("ours"))
    for name, seconds in took.items():
        other = statistics.median(seconds)
        yield Row(
            f"1 GiB over loopback: speed beside {name}{' and sha256sum' if name == 'curl' else ''}",
            f"{other / mine:.2f}",
            other / mine,
            0.9 if name == "curl" else 1.0,
            least=True,
            note=f"ours {mine:.2f} s ({SIZE / mine / MB:,.0f} MB/s), {name} {other:.2f} s, medians of {len(seconds)}",
        )
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as folder:
        for what, rate, limit in cap(Path(folder)):
            yield Row(
                f"a cap of {limit / MB:.0f} MB/s, {what}: off by",
                f"{abs(rate / limit - 1):.1%}",
                abs(rate / limit - 1) * 100,
                5,
                "%",
                note=f"{rate / MB:.2f} MB/s for {CAP_SECONDS:.0f} s",
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        report(rows())
