"""The process of the engine from inside: it ends with its parent, whatever it is doing."""

from __future__ import annotations

import subprocess
import sys

import pytest

WATCHED = """
import ctypes, sys
sys.stdin.buffer.readline()
from moorage_llamacpp.serve import end_with_parent
end_with_parent()
print("ready", flush=True)
{work}
"""
# A compiled engine that loads holds the interpreter, so that no Python thread runs meanwhile.
HOLDING = "ctypes.PyDLL(None).sleep(60)"
WAITING = "import threading; threading.Event().wait()"


@pytest.mark.parametrize(
    "work",
    [
        WAITING,
        pytest.param(HOLDING, marks=pytest.mark.skipif(sys.platform != "linux", reason="needs SIGIO on pipes")),
    ],
    ids=["waiting", "holding the interpreter"],
)
def test_it_ends_when_its_input_ends(work: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED.format(work=work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        process.wait(5)


def test_without_an_order_it_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "moorage_llamacpp.serve"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
