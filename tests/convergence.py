"""End an action at each step of what it writes: a commit of the database, or a change of a file or folder."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

ENDED = 77
"""Exit code of an action that was ended on purpose."""

_CHANGES = {"os.rename", "os.remove"}
"""Files get their names, or lose them; what is written before that cannot be found."""

_READING = ("SELECT", "PRAGMA", "BEGIN", "SET", "WITH")


def run_in_fork(
    action: Callable[[], object], root: Path, end_at: int | None = None, *, files: bool = True
) -> int:
    """Do something in a fork of this process, and return its exit code: 0, 1 after an error, or `ENDED`.

    Parameters
    ----------
    action
        What to do.
    root
        Folder in which changes of files count.
    end_at
        The step at which the process ends, with no cleaning up whatever; 0 is the first.
    files
        Whether changes of files are steps; commits always are, just before and just after.
    """
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if end_at is not None:
                _end_at(end_at, str(root) if files else None)
            action()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _end_at(step: int, root: str | None) -> None:
    left, written = step, False

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(ENDED)

    def audit(kind: str, arguments: tuple[Any, ...]) -> None:
        if kind in _CHANGES and str(arguments[0]).startswith(str(root)):
            count()

    @event.listens_for(Engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        nonlocal written
        written = written or not statement.lstrip().upper().startswith(_READING)

    commit = DefaultDialect.do_commit

    def counted(self: Any, connection: Any) -> None:
        nonlocal written
        if written:
            count()
        commit(self, connection)
        if written:
            written = False
            count()

    DefaultDialect.do_commit = counted  # type: ignore[method-assign]
    if root is not None:
        sys.addaudithook(audit)
