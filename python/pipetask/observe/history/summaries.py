"""Read runs from summary files, and remember the numbers of large ones beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import PipetaskError
from ...outcome import Status
from .past_run import Ended, PastRun

__all__ = ["read_summary"]

_VERSION = 1
"""Of what is remembered."""

_LARGE = 1 << 20
"""Bytes from which on the numbers are remembered: to read 100 summaries of 10,000 quanta takes ten seconds."""


def read_summary(path: Path, name: str) -> PastRun:
    """Return the numbers of a run from its summary file.

    Parameters
    ----------
    path
        The file.
    name
        How the user has named the run.

    Raises
    ------
    PipetaskError
        If it is not the summary of a run.
    """
    try:
        state = path.stat()
        key = [_VERSION, state.st_mtime_ns, state.st_size]
        if state.st_size >= _LARGE and (known := _remembered(path, key)) is not None:
            return replace(known, name=name)
        run = _run_of(json.loads(path.read_bytes()), name)
    except OSError as error:
        raise PipetaskError(f"{name} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipetaskError(
            f"{name} is not the summary of a run: name files that 'pipetask run --summary' has written, or run "
            "directories."
        ) from error
    if state.st_size >= _LARGE:
        _remember(path, key, run)
    return run


def _run_of(content: Mapping[str, Any], name: str) -> PastRun:
    return PastRun.of(name, content["start"], content["end"], content["outcome"], _ended(content))


def _ended(content: Mapping[str, Any]) -> Iterator[Ended]:
    for report, quantum in zip(content["quantaReports"], content["quanta"], strict=True):
        usage = quantum.get("usage", {})
        seconds = usage.get("wallSeconds")
        if seconds is None and "start" in quantum and "end" in quantum:
            seconds = quantum["end"] - quantum["start"]
        status = Status.from_word(quantum["outcome"])
        yield Ended(report["taskLabel"], status, seconds, usage.get("peakMemory"))


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.numbers")


def _remembered(path: Path, key: list[int]) -> PastRun | None:
    """Return what is remembered of a file, if it is still the same."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(_beside(path).read_bytes())
        if content["key"] == key:
            return PastRun.from_json(content["run"])
    return None


def _remember(path: Path, key: list[int], run: PastRun) -> None:
    """Keep the numbers; where that is not possible, the file is read again the next time."""
    target = _beside(path)
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            draft.write_text(json.dumps({"key": key, "run": run.json()}), encoding="utf-8")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
