"""The Python in which worker processes run: that of this process, or another one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, spawn
from pathlib import Path
from typing import Any

__all__ = ["THIS_INTERPRETER", "Interpreter"]


@dataclass(frozen=True)
class Interpreter:
    """How a Python is started that has to find our modules."""

    prefix: tuple[str, ...] = ()
    """Words before it, such as the command of a container."""

    python: str | None = None
    """The program.  `None`: the one of this process, with all that this process can import."""

    first: tuple[str, ...] = ()
    """Folders that are searched for modules before all others."""

    inherits: bool = True
    """Whether it has open files of this process, which the command of a container may close."""

    @property
    def is_this(self) -> bool:
        """Whether it is the Python of this process."""
        return self.python is None and not self.prefix

    @property
    def description(self) -> str:
        """The command, for messages."""
        return f"The command is: {shlex.join([*self.prefix, self.python or sys.executable])}"

    def command(self, code: str) -> list[str]:
        """Return the command that runs some code; that finds `os` and `sys` imported."""
        code = f"{self._opening()}\n{code}"
        if self.python is not None:
            return [*self.prefix, self.python, "-c", code]
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        return [*self.prefix, spawn.get_executable(), *flags, "-c", code]

    def _opening(self) -> str:
        lines = ["import os, sys"]
        if self.is_this:
            lines.append(f"sys.path[:] = {[*self.first, *sys.path]!r}")
        elif self.first:
            lines.append(f"sys.path[:0] = {list(self.first)!r}")
        if self.first:  # also for programs that tasks start; a set-up line may have changed the variable
            folders = os.pathsep.join(self.first)
            lines.append("others = filter(None, [os.environ.get('PYTHONPATH')])")
            lines.append(f"os.environ['PYTHONPATH'] = os.pathsep.join([{folders!r}, *others])")
        if not self.is_this and (number := _process_namespace()) is not None:
            # A number of a process would mean another one here, which might then be killed in its place.
            lines.append(f"if os.stat('/proc/self/ns/pid').st_ino != {number}:")
            lines.append(f"    sys.exit({_OWN_NUMBERS!r})")
        return "\n".join(lines)

    def preparation(self) -> dict[str, Any]:
        """Return what a worker has to know about this process before it can unpickle its recipe."""
        data = spawn.get_preparation_data("pipetask-worker")
        data["authkey"] = bytes(data["authkey"])
        if data.get("start_method") not in get_all_start_methods():
            del data["start_method"]  # of a library that this process has imported, and the worker has not
        if not Path(data.get("init_main_from_path", ".")).exists():
            data.pop("init_main_from_path", None)  # of a script from standard input: no worker can import it
        if self.is_this:
            return data | {"sys_path": [*self.first, *data["sys_path"]]}
        # Folders and scripts may not be there, or not be for that Python.
        return {name: data[name] for name in ("name", "authkey", "log_to_stderr", "sys_argv") if name in data}


_OWN_NUMBERS = (
    "its processes have numbers of their own, and could not be watched from outside: leave out the option of the "
    "container that does this (a PID namespace)"
)

THIS_INTERPRETER = Interpreter()
"""That of this process."""


def _process_namespace() -> int | None:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux
        return None
