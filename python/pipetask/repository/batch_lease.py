"""Reserve an output run for a batch run, which outlives its command (see D32).

No process lives that long, so the registry has the record: a line in the documentation of the RUN collection, which is
removed when the batch run ends, or with the RUN collection.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lsst.daf.butler import Butler, CollectionType, MissingCollectionError

from ..errors import PipetaskError
from .lease import user_name

__all__ = ["batches_in_chain", "check_batch", "check_batch_over", "end_batch", "note_batch"]

_MARK = "pipetask batch run: "


@dataclass(frozen=True)
class _BatchLease:
    id: str
    directory: str
    host: str
    user: str
    since: str


def note_batch(butler: Butler, run: str, id: str, directory: str) -> None:
    """Record that a run directory holds an output run, which is created if it does not exist.

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
        If another run directory holds the run.
    """
    check_batch(butler, run, id)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lease = _BatchLease(id, directory, socket.gethostname(), user_name(), now)
    butler.collections.register(run)
    others = [line for line in _lines(butler, run) or () if not line.startswith(_MARK)]
    _write(butler, run, [*others, _MARK + json.dumps(asdict(lease))])


def check_batch(butler: Butler, run: str, id: str | None, *, take_over: bool = False) -> None:
    """Refuse to write to an output run that the run directory of another batch run holds.

    Parameters
    ----------
    butler
        The repository, writeable if the run may be taken over.
    run
        The output run.
    id
        Identifier of the batch run that this process belongs to.
    take_over
        Whether to take the run from its holder, permanently.
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
    """Refuse to remove a run that an existing run directory of a batch run holds.

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


def batches_in_chain(butler: Butler, chain: str) -> dict[str, str]:
    """Return which runs of a chain existing run directories of batch runs hold, and these directories.

    Parameters
    ----------
    butler
        The repository.
    chain
        Name of the chain, which need not exist yet; its runs are those whose names begin with it.
    """
    infos = butler.collections.query_info(f"{chain}/*", CollectionType.RUN, include_doc=True)
    leases = {info.name: lease for info in infos if (lease := _lease_in(info.doc.splitlines())) is not None}
    return {run: each.directory for run, each in sorted(leases.items()) if Path(each.directory).exists()}


def end_batch(butler: Butler, run: str, id: str) -> bool:
    """Record that a batch run no longer holds its output run, and return whether it did.

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
    return _lease_in(_lines(butler, run) or ())


def _lease_in(lines: Iterable[str]) -> _BatchLease | None:
    marks = [line for line in lines if line.startswith(_MARK)]
    return _BatchLease(**json.loads(marks[0].removeprefix(_MARK))) if marks else None


def _lines(butler: Butler, run: str) -> list[str] | None:
    try:
        return butler.collections.get_info(run).doc.splitlines()
    except MissingCollectionError:
        return None


def _write(butler: Butler, run: str, lines: list[str]) -> None:
    butler.registry.setCollectionDocumentation(run, "\n".join(lines) or None)
