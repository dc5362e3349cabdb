"""The run directory: a folder with everything that belongs to one batch run.

::

    run.json         what the run is: id, numbers, output run
    recipe.pickle    how to run a quantum, and how to begin and end the run
    graph.qg         the graph: a hard link where that can be, else a copy
    index.sqlite     node → quanta
    parts/           parts of these two for jobs that do not see this folder; see `graph_parts`
    outcomes/        grows by one file for each attempt at a node
    logs/            standard output and error of jobs
    …                what the batch system needs, in a folder of its own

It is written under another name and then renamed, so a run directory is always complete.
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
    """What jobs need to know; it is pickled."""

    runner: RunnerSpec
    later: Continuation | None
    timeout: float | None
    serial: bool
    """Whether a task says that it cannot run in a process of its own."""

    shared: bool
    """Whether jobs see the run directory, and so the outcomes of other jobs."""

    retries: RetryPolicy
    """Which failures are tried again inside a job; the batch system handles jobs that were killed."""


@dataclass(frozen=True)
class RunFacts:
    """What is known about a run when it is written; stored as JSON."""

    id: str
    batch_system: str
    """Its `pipetask.batch.system.BatchSystem.name`."""

    output_run: str
    repository: str
    labels: dict[str, int]
    """Number of quanta by label, in pipeline order."""

    nodes: int
    files: dict[str, str]
    """Fingerprints of the files that were copied or linked into the run directory."""

    version: int = VERSION


class RunDirectory:
    """An existing run directory.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    PipetaskError
        If it is not a run directory, or has another version.
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
        """The folder of outcome files, which jobs write."""
        return self.path / "outcomes"

    @property
    def begun(self) -> Path:
        """A file that exists once the first job has made the registry ready."""
        return self.path / "registry.ready"

    @property
    def summary(self) -> Path:
        """The summary, which the final job writes when all outputs are registered."""
        return self.path / "summary.json"

    @property
    def unregistered(self) -> Path:
        """A file with the reason why the final job could not register outputs."""
        return self.path / "unregistered.txt"

    def why_unregistered(self) -> str | None:
        """Return why the final job could not register outputs; `None` if it has not said so."""
        try:
            return self.unregistered.read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    def forget_end(self) -> None:
        """Remove what the final job has written, because the run continues."""
        for outdated in (self.summary, self.unregistered):
            outdated.unlink(missing_ok=True)

    def index(self) -> NodeIndex:
        """Open the index."""
        return NodeIndex(self.path / "index.sqlite")

    def recipe(self) -> Recipe:
        """Read how quanta are run; file paths are relative to this folder, so it may have been moved."""
        try:
            content: Recipe = pickle.loads((self.path / "recipe.pickle").read_bytes())
        except (OSError, ImportError, AttributeError, pickle.UnpicklingError) as error:
            raise PipetaskError(
                f"{self.path}/recipe.pickle cannot be read ({error}): is the same version of pipetask installed here?"
            ) from error
        return content

    def write_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe."""
        draft = self.path / "recipe.new"
        draft.write_bytes(pickle.dumps(recipe, protocol=5))
        draft.rename(self.path / "recipe.pickle")

    def is_ready(self, recipe: Recipe) -> bool:
        """Return whether the registry is ready, or was made ready before the run was written."""
        return recipe.later is None or not recipe.later.deferred or self.begun.exists()

    def check_begun(self, recipe: Recipe) -> None:
        """Check that the registry is ready, if that was left to the first job.

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
        """Check that the graph has not changed since the run was written.

        Raises
        ------
        PipetaskError
            If it has changed or is missing.
        """
        for name, expected in self.facts.files.items():
            path = self.path / name
            if not path.exists():
                raise PipetaskError(f"{path} is missing: put it back, or write the run again.")
            if fingerprint(path) != expected:
                raise PipetaskError(
                    f"{path} has changed since the run was written: write the run again with the new graph."
                )


def default_name(output_run: str) -> str:
    """Return the name of the run directory for an output run."""
    return output_run.replace("/", "_")


def fingerprint(path: Path) -> str:
    """Return the size of a zip file and a hash of its end, which contains the checksums of all members."""
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
    """Create a run directory: yield an empty folder to fill, and rename it when it is complete.

    Parameters
    ----------
    path
        The name that it will have.

    Raises
    ------
    PipetaskError
        If it exists or cannot be written; then nothing is left behind.
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
        except OSError:  # another file system, or another user's file
            shutil.copyfile(source, target)
        found[name] = fingerprint(target)
    return found


def write_facts(folder: Path, facts: RunFacts, recipe: Recipe) -> None:
    """Write the facts and the recipe of a run."""
    (folder / "recipe.pickle").write_bytes(pickle.dumps(recipe, protocol=5))
    content: dict[str, Any] = asdict(facts)
    (folder / "run.json").write_text(json.dumps(content, indent=2) + "\n")
