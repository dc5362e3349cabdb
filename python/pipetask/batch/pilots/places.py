"""Where the files of pilots are in a run directory, and how a round of theirs is written."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...errors import PipetaskError
from ..index import NodeIndex
from .marks import NodeMarks, Terms

__all__ = ["FOLDER", "PilotNode", "PilotRound", "PilotSettings", "last_round", "write_round"]

FOLDER = "pilots"


@dataclass(frozen=True)
class PilotSettings:
    """How pilots of a run behave."""

    beat: float = 15.0
    """Seconds between two signs of life."""

    stale: float = 180.0
    """Seconds without a sign of life after which a pilot is believed dead; NFS may show one a minute late."""

    pause: float = 0.5
    """Seconds until one that has nothing to do looks again; the pause grows."""

    longest_pause: float = 15.0
    """A look costs about as much as a sign of life, and what has become ready waits for it, and the end of the run."""

    grace: float = 5.0
    """Seconds that a node has to end when it is interrupted; soon afterwards, a batch system kills the job."""

    retries: int = 5
    """How often a node is run again after it was killed or something around it was broken."""


@dataclass(frozen=True)
class PilotNode:
    """A node that pilots are to run."""

    number: int
    name: str
    kind: str
    """Its labels, as text."""

    needs: tuple[int, ...]
    """Those nodes of the round that have to end before."""


@dataclass(frozen=True)
class PilotRound:
    """Nodes that are to run, once."""

    folder: Path
    settings: PilotSettings = field(default_factory=PilotSettings)

    @property
    def number(self) -> int:
        """From 1."""
        return int(self.folder.name.rpartition("-")[2])

    @property
    def marks(self) -> NodeMarks:
        """The files of nodes."""
        return NodeMarks(self.folder)

    @property
    def leave(self) -> Path:
        """The folder with requests that some pilot leaves."""
        return self.folder.parent / "leave"

    def is_first_to_end(self) -> bool:
        """Return whether this was never asked before, by any pilot; ask when all nodes have ended."""
        try:
            os.close(os.open(self.folder / "ended", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        except FileExistsError:
            return False
        return True

    def nodes(self) -> dict[int, PilotNode]:
        """Read what is to run, by number."""
        rows = json.loads((self.folder / "nodes.json").read_text(encoding="utf-8"))
        return {number: PilotNode(number, name, kind, tuple(needs)) for number, name, kind, needs in rows}


def last_round(run_directory: Path) -> PilotRound:
    """Return the last round of a run.

    Raises
    ------
    PipetaskError
        If the run has no pilots.
    """
    folders = sorted((run_directory / FOLDER).glob("round-*"))
    if not folders:
        raise PipetaskError(f"{run_directory} has no pilots: its jobs run one node each.")
    content = json.loads((run_directory / FOLDER / "settings.json").read_text(encoding="utf-8"))
    return PilotRound(folders[-1], PilotSettings(**content))


def write_round(
    run_directory: Path,
    index: NodeIndex,
    wanted: Iterable[int] | None = None,
    terms: Mapping[int, Terms] | None = None,
    settings: PilotSettings | None = None,
) -> PilotRound:
    """Write another round, or the first one.

    Parameters
    ----------
    run_directory
        The run directory, or its draft.
    index
        Its index.
    wanted
        Numbers of the nodes to run; by default all.
    terms
        What is known of nodes from earlier rounds, by number.
    settings
        For the first round: how pilots behave.
    """
    home = run_directory / FOLDER
    (home / "leave").mkdir(parents=True, exist_ok=True)
    if settings is not None or not (home / "settings.json").exists():
        content = asdict(settings or PilotSettings())
        (home / "settings.json").write_text(json.dumps(content, indent=1) + "\n")
    number = 1 + len(list(home.glob("round-*")))
    draft = home / f".round-{uuid.uuid4().hex[:8]}"
    nodes = _nodes(index, None if wanted is None else set(wanted))
    marks = NodeMarks(draft)
    marks.create()
    rows = [(node.number, node.name, node.kind, node.needs) for node in nodes]
    (draft / "nodes.json").write_text(json.dumps(rows) + "\n", encoding="utf-8")
    for node in nodes:
        if not node.needs:
            known = (terms or {}).get(node.number, Terms())
            marks.offer(node.number, known.first_generation, known)
    target = home / f"round-{number:03}"
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return PilotRound(target, settings or PilotSettings())


def _nodes(index: NodeIndex, wanted: set[int] | None) -> Sequence[PilotNode]:
    found = []
    for number, ((name, labels), needs) in enumerate(zip(index.counts().items(), index.needs(), strict=True)):
        if wanted is None or number in wanted:
            inside = tuple(each for each in needs if wanted is None or each in wanted)
            found.append(PilotNode(number, name, "+".join(labels), inside))
    return found
