"""A batch run goes on when its command has ended, so its run directory has the output run until it is over.

No process lives as long, so the registry itself says it: in a line of the documentation of the RUN collection, which
goes away with the end of the run, or with the run.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lsst.daf.butler import Butler, MissingCollectionError

from ..errors import PipetaskError
from .lease import user_name

__all__ = ["check_batch", "check_batch_over", "end_batch", "note_batch"]

_MARK = "pipetask batch run: "


@dataclass(frozen=True)
class _BatchLease:
    id: str
    directory: str
    host: str
    user: str
    since: str


def note_batch(butler: Butler, run: str, id: str, directory: str) -> None:
    """Note that a run directory has an output run, which is made if it does not exist yet.

    Parameters
    ----------
    butler
        The repository, writeable.
    run
        The output run, which this process has leased.
    id
        Identifier of the batch run.
    directory
        Its run directory.

    Raises
    ------
    PipetaskError
        If another run directory has the run.
    """
    check_batch(butler, run, id)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lease = _BatchLease(id, directory, socket.gethostname(), user_name(), now)
    butler.collections.register(run)
    others = [line for line in _lines(butler, run) or () if not line.startswith(_MARK)]
    _write(butler, run, [*others, _MARK + json.dumps(asdict(lease))])


def check_batch(butler: Butler, run: str, id: str | None, *, take_over: bool = False) -> None:
    """Refuse to write to an output run that the run directory of another batch run has.

    Parameters
    ----------
    butler
        The repository, writeable if it may be taken over.
    run
        The output run.
    id
        Identifier of the batch run that this process belongs to.
    take_over
        Whether to take the run all the same, for good.
    """
    lease = _read(butler, run)
    if lease is None or lease.id == id:
        return
    if take_over:
        end_batch(butler, run, lease.id)
        return
    raise PipetaskError(
        f"Output run {run!r} is held by run directory {lease.directory} on {lease.host} ({lease.user}, since "
        f"{lease.since}): wait until it is over, go on with it (pipetask restart {lease.directory}), or end it "
        f"(pipetask cancel {lease.directory}); if the directory or its batch is gone for good, add --take-over."
    )


def check_batch_over(butler: Butler, run: str) -> None:
    """Refuse to remove a run that the run directory of a batch run has; one that is gone has nothing any more.

    Parameters
    ----------
    butler
        The repository.
    run
        The run.
    """
    lease = _read(butler, run)
    if lease is not None and Path(lease.directory).exists():
        raise PipetaskError(
            f"Run {run!r} is held by run directory {lease.directory} on {lease.host} ({lease.user}, since "
            f"{lease.since}): wait until that batch run is over, or end it (pipetask cancel {lease.directory})."
        )


def end_batch(butler: Butler, run: str, id: str) -> bool:
    """Note that a batch run has its output run no more, and return whether it had.

    Parameters
    ----------
    butler
        The repository, writeable.
    run
        The output run.
    id
        Identifier of the batch run.
    """
    lease = _read(butler, run)
    if lease is None or lease.id != id:
        return False
    _write(butler, run, [line for line in _lines(butler, run) or () if not line.startswith(_MARK)])
    return True


def _read(butler: Butler, run: str) -> _BatchLease | None:
    marks = [line for line in _lines(butler, run) or () if line.startswith(_MARK)]
    return _BatchLease(**json.loads(marks[0].removeprefix(_MARK))) if marks else None


def _lines(butler: Butler, run: str) -> list[str] | None:
    try:
        return butler.collections.get_info(run).doc.splitlines()
    except MissingCollectionError:
        return None


def _write(butler: Butler, run: str, lines: list[str]) -> None:
    butler.registry.setCollectionDocumentation(run, "\n".join(lines) or None)
