"""Find the run that a user means."""

from __future__ import annotations

from pathlib import Path

from ..batch.run_directory import RunDirectory
from ..errors import PipetaskError
from ..journal.facts import RunBegin
from ..journal.places import SUFFIX, journals_in, recent_runs, runs_folder
from ..journal.records import first

__all__ = ["NotBegunError", "begin_of", "find_run"]


class NotBegunError(PipetaskError):
    """Raised for a folder without a journal, as that of ``--journal`` is until the graph is read."""


def find_run(name: str) -> RunDirectory | Path:
    """Return the run directory of a batch run, or the journal of a run on a machine.

    Parameters
    ----------
    name
        A run directory; a folder with journals, of which the newest is taken; a journal; the name of a folder in the
        state folder; or, of a recent run, its output run, what that begins with (``u/me/out`` for
        ``u/me/out/20260101T000000Z``), or the ``-o`` of its command.

    Raises
    ------
    NotBegunError
        If it is an empty folder, so that its run may be starting.
    PipetaskError
        If there is no such run.
    """
    path = Path(name)
    if _is_journal(path):
        return path
    if (path / "run.json").is_file():
        return RunDirectory(path)
    if (found := _named(name)) is not None:
        return found
    if path.is_dir() and not any(path.iterdir()):
        raise NotBegunError(f"{name!r} has no journal yet: its run is starting, or has another folder.")
    raise PipetaskError(
        f"{name!r} is no run: name a run directory, a folder with a journal, or the output run of a recent run; "
        "'pipetask watch' lists recent runs."
    )


def begin_of(journal: Path) -> RunBegin | None:
    """Return what a journal says of the beginning of its run; `None` if it cannot be read."""
    try:
        record = first(journal)
        return RunBegin.from_record(record) if record is not None else None
    except Exception:  # whatever is wrong with one journal, others can be read
        return None


def _is_journal(path: Path) -> bool:
    return path.suffix == SUFFIX and path.is_file()


def _named(name: str) -> RunDirectory | Path | None:
    for folder in (Path(name), *([runs_folder() / name] if "/" not in name else [])):
        if journals := journals_in(folder):
            return journals[-1]
    for place in recent_runs():
        if any(f"{each}/".startswith(f"{name}/") for each in _outputs(place)):
            return place if _is_journal(place) else RunDirectory(place)
    return None


def _outputs(place: Path) -> list[str]:
    """Return the output run, and the collection that the command has put it into, if that is known."""
    if _is_journal(place):
        begin = begin_of(place)
        return [each for each in (begin.output_run, begin.options.get("output")) if each] if begin else []
    try:
        return [RunDirectory(place).facts.output_run]
    except PipetaskError:  # it is of another version
        return []
