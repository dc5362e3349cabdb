"""What a job can learn about itself, with real control groups and a kernel that kills."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_group import MemoryGroup
from pipetask.executors.delayed import batch_job

EAT = "food = bytearray(200 * 2**20)"
CRASH = "import ctypes; ctypes.string_at(0)"
COUNT = """
import subprocess, sys
from pipetask.executors.delayed.batch_job import oom_kills
before = oom_kills()
child = subprocess.run([sys.executable, "-c", sys.argv[1]])
print(child.returncode, oom_kills() - before)
"""


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    with MemoryGroup() as made:
        made.limit(100)
        yield made


@pytest.mark.parametrize(
    ("what", "number", "kills"), [(EAT, signal.SIGKILL, 1), (CRASH, signal.SIGSEGV, 0)], ids=["eat", "crash"]
)
def test_only_the_kernels_kills_for_memory_are_counted(
    group: MemoryGroup, what: str, number: int, kills: int
) -> None:
    command = [sys.executable, "-c", COUNT, what]
    done = subprocess.run(command, preexec_fn=group.join, capture_output=True, text=True, check=True)
    assert [int(word) for word in done.stdout.split()] == [-number, kills]


V1 = (
    "12:memory:/slot/x\n0::/\n",
    "1 2 0:3 /slot /groups rw - cgroup cgroup rw,memory\n",
    "memory.oom_control",
)
V2 = ("0::/slot/x\n", "1 2 0:3 / /groups/slot rw - cgroup2 cgroup2 rw\n", "memory.events")
"""Of version 1 inside a container, whose root is a group itself; of version 2."""


@pytest.mark.parametrize(
    ("groups", "mounts", "name", "inside"), [(*V1, "x"), (*V2, "slot/slot/x")], ids=["1", "2"]
)
def test_both_versions_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, mounts: str, name: str, inside: str
) -> None:
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "mountinfo").write_text(mounts.replace("/groups", str(tmp_path)))
    folder = tmp_path / inside
    folder.mkdir(parents=True)
    (folder / name).write_text("under_oom 0\noom_kill 3\n")
    monkeypatch.setattr(batch_job, "_PROCESS", tmp_path)
    assert batch_job.oom_kills() == 3


def test_without_control_groups_nobody_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_job, "_PROCESS", tmp_path)
    assert batch_job.oom_kills() == 0
