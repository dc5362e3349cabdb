"""Kills for want of memory, with real control groups and a kernel that kills."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import environment  # isort: skip
from memory_group import MemoryGroup
from pipetask.runner import memory_kills

EAT = "food = bytearray(200 * 2**20)"
CRASH = "import ctypes; ctypes.string_at(0)"
COUNT = """
import subprocess, sys
from pipetask.runner.memory_kills import oom_kills
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
    monkeypatch.setattr(memory_kills, "_PROCESS", tmp_path)
    assert memory_kills.oom_kills() == 3


def test_without_control_groups_nobody_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_kills, "_PROCESS", tmp_path)
    assert memory_kills.oom_kills() == 0


@pytest.mark.slow
@pytest.mark.parametrize(("bomb", "known"), [("eat_memory", True), ("kill_self", False)])
def test_a_kill_for_want_of_memory_is_told_from_others(
    group: MemoryGroup, tmp_path: Path, bomb: str, known: bool
) -> None:
    """The first is not tried again, as the next attempt would have no more memory."""
    group.limit(1000)
    script = f"""
from pathlib import Path
from pipetask.executors.base import ExecutionContext
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.retries import RetryPolicy, RetryRule
from pipetask.testing import CallSpec, enumerated
from toy_work import Recorder
if __name__ == "__main__":
    work = Recorder(Path({str(tmp_path)!r}), bombs=((0, {bomb!r}),))
    context = ExecutionContext(
        enumerated({{"a": 1}}), CallSpec(work), retries=RetryPolicy(RetryRule(retries=1))
    )
    (outcome,) = MultiprocessExecutor(1).execute(context.graph, context)
    print(outcome.out_of_memory, outcome.attempt, "by the kernel's" in outcome.reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        preexec_fn=group.join,
        capture_output=True,
        text=True,
        check=True,
        env=environment() | {"TMPDIR": str(tmp_path)},
    )
    assert done.stdout.split() == [str(known), "1" if known else "2", str(known)]
