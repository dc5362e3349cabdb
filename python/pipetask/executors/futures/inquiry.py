"""What is asked on a worker of an engine, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .environment import USUAL, Environment
from .packages import Package, Place
from .shared_folder import SharedFolder

__all__ = ["Facts", "Inquiry"]


@dataclass(frozen=True)
class Inquiry:
    """What is to be looked at; files have the names that they have there."""

    runner: bytes
    """The pickled recipe for what runs a quantum."""

    files: tuple[str, ...]
    folder: SharedFolder | None
    roots: tuple[str, ...] = ()
    """Folders that quanta read and write."""

    packages: Mapping[str, Place | None] = field(default_factory=dict)
    """Packages that have to be the same on both sides, and where they are on this one."""

    tasks: tuple[str, ...] = ()
    """Full names of task classes that have to be imported."""

    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Environment = USUAL
    code: bytes | None = None
    """The code package of the environment."""

    code_folders: tuple[str, ...] = ()
    """Where that is unpacked."""


@dataclass(frozen=True)
class Facts:
    """What a worker of an engine sees."""

    host: str
    python: str
    """The version of Python, without its last number; empty if it has not told."""

    packages: Mapping[str, Package | None]
    """What there is of the packages, `None` for those that are missing."""

    files: Mapping[str, tuple[int, int] | None]
    """Marks of the files, `None` for those that are not there."""

    sees_folder: bool
    runner_error: str | None
    """Why the recipe cannot be unpickled."""

    roots: Mapping[str, str] = field(default_factory=dict)
    """Folders in which nothing can be written, with the reason."""

    task_error: str | None = None
    """Why a task cannot be imported."""

    no_worker: str | None = None
    """Why no worker process can be started there; then `files` and others are empty."""

    driver: Package | None = None
    """What the engine's worker has of pipetask, if quanta have another environment."""
