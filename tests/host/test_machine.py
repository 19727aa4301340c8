"""What this machine has, as made-up machines say it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage import machine
from moorage.machine import gpu_memory, total_memory

GIB = 1024**3
HUGE = str(2**63 - 4096)  # what the old control groups say where there is no limit


@pytest.fixture(autouse=True)
def _without_real_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def physical(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(machine, "_physical_memory", lambda: 16 * GIB)
    return 16 * GIB


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def nvidia_smi(root: Path, *lines: str, code: int = 0, seconds: float = 0) -> None:
    script = f"#!{sys.executable}\nimport sys, time\ntime.sleep({seconds})\nprint({chr(10).join(lines)!r})\n"
    path = root / "bin" / "nvidia-smi"
    path.write_text(f"{script}sys.exit({code})\n")
    path.chmod(0o700)


def test_the_real_machine_says_what_it_has() -> None:
    found = total_memory()
    assert found is not None
    assert 2**28 < found < 2**48


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({}, 16),
        ({"proc/self/cgroup": "0::/app", "sys/fs/cgroup/app/memory.max": "max"}, 16),
        ({"proc/self/cgroup": "0::/app", "sys/fs/cgroup/app/memory.max": str(4 * GIB)}, 4),
        ({"proc/self/cgroup": "0::/app", "sys/fs/cgroup/app/memory.max": str(64 * GIB)}, 16),
        (  # the limit is further up, or that of the whole container
            {
                "proc/self/cgroup": "0::/a/b/c",
                "sys/fs/cgroup/a/b/c/memory.max": "max",
                "sys/fs/cgroup/a/memory.max": str(2 * GIB),
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/../../else/where", "sys/fs/cgroup/memory.max": str(3 * GIB)}, 3),
        ({"proc/self/cgroup": "4:memory:/x", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": str(5 * GIB)}, 5),
        ({"proc/self/cgroup": "4:memory:/x", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": HUGE}, 16),
        (
            {
                "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/1\n0::/",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": str(6 * GIB),
            },
            6,
        ),
        ({"proc/self/cgroup": "nonsense", "sys/fs/cgroup/memory.max": "lots"}, 16),
    ],
)
def test_a_container_has_what_it_may_use(tmp_path: Path, physical: int, files: dict[str, str], gib: int) -> None:
    assert total_memory(tree(tmp_path, files)) == gib * GIB


def test_where_the_system_says_nothing_the_container_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_physical_memory", lambda: None)
    assert total_memory(tmp_path) is None
    assert total_memory(tree(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": str(GIB)})) == GIB


def test_windows_is_asked_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The structure has 64 bytes, and the total is the first of its long numbers."""

    class Kernel:
        def GlobalMemoryStatusEx(self, pointer: object) -> int:
            status = pointer._obj  # type: ignore[attr-defined]  # of a reference that ctypes made
            assert status.length == 64
            status.bytes[0] = 32 * GIB
            return 1

    monkeypatch.setattr(machine.ctypes, "windll", type("WinDll", (), {"kernel32": Kernel()}), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert machine._physical_memory() == 32 * GIB


def test_a_machine_without_a_gpu(tmp_path: Path) -> None:
    assert gpu_memory(tmp_path) is None


def test_amd_says_it_in_a_file(tmp_path: Path) -> None:
    files = {
        "sys/class/drm/card0/device/mem_info_vram_total": str(512 * 1024**2),  # a piece of the system's memory
        "sys/class/drm/card1/device/mem_info_vram_total": str(16 * GIB),
        "sys/class/drm/card2/device/vendor": "0x8086",
        "sys/class/drm/card1-DP-1/device/mem_info_vram_total": str(16 * GIB),  # its screen
    }
    assert gpu_memory(tree(tmp_path, files)) == 16 * GIB
    assert gpu_memory(tree(tmp_path, {"sys/class/drm/card3/device/mem_info_vram_total": str(8 * GIB)})) == 24 * GIB


def test_nvidia_says_it_by_its_tool(tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "24576", "24576")
    assert gpu_memory(tmp_path) == 48 * GIB
    # The larger of two kinds: no engine uses both.
    assert gpu_memory(tree(tmp_path, {"sys/class/drm/card0/device/mem_info_vram_total": str(64 * GIB)})) == 64 * GIB


@pytest.mark.parametrize("lines", [("[N/A]",), ("No devices were found",), ("",), ("-5",)])
def test_nvidia_says_nothing_of_use(tmp_path: Path, lines: tuple[str, ...]) -> None:
    nvidia_smi(tmp_path, *lines)
    assert gpu_memory(tmp_path) is None


def test_a_tool_that_fails_is_none(tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "24576", code=9)
    assert gpu_memory(tmp_path) is None


def test_a_tool_that_cannot_be_run_is_none(tmp_path: Path) -> None:
    path = tmp_path / "bin" / "nvidia-smi"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o700)
    assert gpu_memory(tmp_path) is None


def test_a_tool_that_hangs_is_asked_again_later_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "NVIDIA_SECONDS", 0.2)
    monkeypatch.setattr(machine, "_NVIDIA", machine._Nvidia())
    nvidia_smi(tmp_path, "24576", seconds=30)
    assert gpu_memory(tmp_path) is None
    nvidia_smi(tmp_path, "24576")
    assert gpu_memory(tmp_path) is None, "left alone for a while"
    monkeypatch.setattr(machine, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(machine, "NVIDIA_SECONDS", 15.0)
    assert gpu_memory(tmp_path) == 24576 * 1024**2
    nvidia_smi(tmp_path, code=1)
    assert gpu_memory(tmp_path) == 24576 * 1024**2, "what it has said does not change"


def test_importing_it_asks_nothing() -> None:
    code = "import subprocess; subprocess.run = None; import moorage.machine"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PATH": os.defpath})
