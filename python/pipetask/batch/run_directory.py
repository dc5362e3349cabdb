"""The folder that holds all of a batch run, and nothing else.

::

    run.json         what the run is: id, numbers, output run
    recipe.pickle    how to run a quantum, and how to begin and end the run
    graph.qg         the graph: a hard link where that can be, else a copy
    index.sqlite     node → quanta
    parts/           parts of these two for jobs that do not see this folder; see `graph_parts`
    outcomes/        grows by one file for each attempt at a node
    logs/            standard output and error of jobs
    …                what the batch system needs, in a folder of its own

It is made under another name and then renamed, so that a folder of this name is always complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import PipetaskError, UsageError
from ..executors.continuation import Continuation
from ..executors.retries import RetryPolicy
from ..runner import RunnerSpec
from .index import NodeIndex

__all__ = [
    "Recipe",
    "RunDirectory",
    "RunFacts",
    "bring_along",
    "check_new",
    "default_name",
    "new_run_directory",
    "write_facts",
]

VERSION = 2
"""Of the layout, and of what is pickled in it."""

_TAIL = 1 << 16


@dataclass(frozen=True)
class Recipe:
    """What jobs have to know, pickled."""

    runner: RunnerSpec
    later: Continuation | None
    timeout: float | None
    serial: bool
    """Whether a task says that it cannot run in a process of its own."""

    shared: bool
    """Whether jobs see what earlier attempts have written down."""

    retries: RetryPolicy
    """Which failures a job tries again itself; those of the job as a whole are left to the batch system."""


@dataclass(frozen=True)
class RunFacts:
    """What a run is, as JSON."""

    id: str
    batch_system: str
    """Its `pipetask.batch.system.BatchSystem.name`."""

    output_run: str
    repository: str
    labels: dict[str, int]
    """Number of quanta by label, in pipeline order."""

    nodes: int
    files: dict[str, str]
    """Fingerprints of the files that were brought along."""

    version: int = VERSION


class RunDirectory:
    """A run directory that exists.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    PipetaskError
        If it is no run directory, or one of another version.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path).absolute()
        try:
            content = json.loads((self.path / "run.json").read_text())
        except FileNotFoundError as error:
            raise PipetaskError(
                f"{path} is not a run directory, it has no run.json: name one that 'pipetask run' has written."
            ) from error
        except (OSError, ValueError) as error:
            raise PipetaskError(
                f"{path}/run.json cannot be read ({error}): the run directory is damaged."
            ) from error
        if content.get("version") != VERSION:
            raise PipetaskError(
                f"{path} is a run directory of version {content.get('version')}, and this pipetask reads version "
                f"{VERSION}: use the version of pipetask that has written it, or write the run again with this one."
            )
        self.facts = RunFacts(**content)

    @property
    def graph(self) -> Path:
        """The graph file."""
        return self.path / "graph.qg"

    @property
    def outcomes(self) -> Path:
        """Where jobs write what became of quanta."""
        return self.path / "outcomes"

    @property
    def begun(self) -> Path:
        """A file that is there when the first job has made the registry ready."""
        return self.path / "registry.ready"

    @property
    def summary(self) -> Path:
        """The summary that the final job writes when all that was done has been registered."""
        return self.path / "summary.json"

    @property
    def unregistered(self) -> Path:
        """A file in which the final job says why it could not register."""
        return self.path / "unregistered.txt"

    def why_unregistered(self) -> str | None:
        """Return what the final job has said about why it could not register, if it has."""
        try:
            return self.unregistered.read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    def forget_end(self) -> None:
        """Remove what the final job has written, of a run that goes on."""
        for outdated in (self.summary, self.unregistered):
            outdated.unlink(missing_ok=True)

    def index(self) -> NodeIndex:
        """Open the index."""
        return NodeIndex(self.path / "index.sqlite")

    def recipe(self) -> Recipe:
        """Read how quanta are run; their files are taken from this folder, wherever it is now."""
        try:
            content: Recipe = pickle.loads((self.path / "recipe.pickle").read_bytes())
        except (OSError, ImportError, AttributeError, pickle.UnpicklingError) as error:
            raise PipetaskError(
                f"{self.path}/recipe.pickle cannot be read ({error}): is the same version of pipetask installed here?"
            ) from error
        return content

    def write_recipe(self, recipe: Recipe) -> None:
        """Put another recipe into the place of the one there is."""
        draft = self.path / "recipe.new"
        draft.write_bytes(pickle.dumps(recipe, protocol=5))
        draft.rename(self.path / "recipe.pickle")

    def is_ready(self, recipe: Recipe) -> bool:
        """Return whether the registry is ready, or nothing has to be done for that."""
        return recipe.later is None or not recipe.later.deferred or self.begun.exists()

    def check_begun(self, recipe: Recipe) -> None:
        """Check that the first job has made the registry ready, where that was put off.

        Raises
        ------
        PipetaskError
            If it has not.
        """
        if not self.is_ready(recipe):
            raise PipetaskError(
                f"The first job of {self.path} has not made the registry ready: if it has ended, see its logs/first.*, "
                f"put that right, and use: pipetask restart {self.path}"
            )

    def check_files(self) -> None:
        """Check that the graph is the one that was written about.

        Raises
        ------
        PipetaskError
            If it has changed, or is gone.
        """
        for name, expected in self.facts.files.items():
            path = self.path / name
            if not path.exists():
                raise PipetaskError(f"{path} is gone: put it back, or write the run anew.")
            if fingerprint(path) != expected:
                raise PipetaskError(
                    f"{path} has changed since the run was written: write the run anew with the new graph."
                )


def default_name(output_run: str) -> str:
    """Return the name of the run directory for an output run."""
    return output_run.replace("/", "_")


def fingerprint(path: Path) -> str:
    """Return what changes when a zip file does: its size, and a hash of its end, which has checksums of all members."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        return f"{size}-{hashlib.blake2b(file.read(), digest_size=16).hexdigest()}"


def check_new(path: Path) -> None:
    """Refuse a run directory that exists.

    Raises
    ------
    PipetaskError
        If it does.
    """
    if path.exists():
        raise PipetaskError(
            f"Run directory {path} exists: name another with --run-dir, or go on with it: pipetask restart {path}"
        )


@contextmanager
def new_run_directory(path: Path) -> Iterator[Path]:
    """Make a run directory: yield an empty folder to fill, and give it its name if nothing went wrong.

    Parameters
    ----------
    path
        The name that it will have.

    Raises
    ------
    PipetaskError
        If it exists, or cannot be written; then nothing is left.
    """
    if "\n" in str(path) or str(path) != str(path).strip():
        raise UsageError(f"--run-dir {str(path)!r}: no batch system can be told of such a name.")
    check_new(path)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        for name in ("outcomes", "logs"):
            (draft / name).mkdir()
        yield draft
        draft.rename(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PipetaskError(
            f"Run directory {path} cannot be written ({reason}): make room or get permission; nothing is left of it."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def bring_along(files: dict[str, str], folder: Path) -> dict[str, str]:
    """Link or copy files into a folder.

    Returns
    -------
    fingerprints
        By name.
    """
    found = {}
    for name, source in files.items():
        target = folder / name
        try:
            os.link(source, target)
        except OSError:  # another file system, or somebody else's file
            shutil.copyfile(source, target)
        found[name] = fingerprint(target)
    return found


def write_facts(folder: Path, facts: RunFacts, recipe: Recipe) -> None:
    """Write what a run is, and how its quanta are run."""
    (folder / "recipe.pickle").write_bytes(pickle.dumps(recipe, protocol=5))
    content: dict[str, Any] = asdict(facts)
    (folder / "run.json").write_text(json.dumps(content, indent=2) + "\n")
