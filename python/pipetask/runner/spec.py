"""The specification of a runner for a butler repository."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..options.execution import OutputButler
from ..settings.paths import PathMap
from .base import ExceptionHook

if TYPE_CHECKING:
    from .quantum_runner import QuantumRunner

__all__ = ["ButlerRunnerSpec", "absolute_config"]

_GRAPH = "graph.qg"


def absolute_config(config: str) -> str:
    """Return the name of a repository with an absolute path; aliases and URIs are unchanged."""
    exists = "://" not in config and os.path.exists(config)  # noqa: PTH110  it never raises, whatever was typed
    return str(Path(config).absolute()) if exists else config


@dataclass(frozen=True)
class ButlerRunnerSpec:
    """A picklable description of a `QuantumRunner`."""

    graph: str
    """Path of the ``.qg`` file."""

    butler_config: str
    run: str
    """The output RUN collection."""

    collections: tuple[str, ...]
    """The collections that a full butler searches."""

    output_butler: OutputButler = OutputButler.QUANTUM_BACKED

    registry: bool = True
    """Whether there is a registry for look-ups of inputs and for outputs; a full butler needs one."""

    config_search_path: tuple[str, ...] = ()
    """Additional folders to search for configuration of the butler."""

    extend_run: bool = False
    """Whether outputs may already exist."""

    clobber_outputs: bool = False
    """Whether registered outputs of attempts that did not succeed may be replaced."""

    raise_on_partial_outputs: bool = True
    cores_per_quantum: int = 1
    memory_per_quantum: str | None = None
    """A number of megabytes, or a number with a unit."""

    cores: Mapping[str, int] = field(default_factory=dict)
    """Cores of a quantum by label, where these are known."""

    memory: Mapping[str, int] = field(default_factory=dict)
    """Bytes of memory of a quantum by label, where these are known."""

    durable: bool = True
    """Whether outputs must be on disk before they are recorded as done."""

    elsewhere: bool = False
    """Whether quanta run in jobs, which write outcome files themselves."""

    debug: bool = False
    """Whether to import the user's ``debug`` module first."""

    implicit_threads: bool = False
    """Whether libraries may start threads of their own (BLAS, OpenMP)."""

    job_metadata: Mapping[str, int | float | str] | None = None
    """Entries for the metadata of each quantum that are the same for all."""

    datastore_cache: str | None = None
    """Folder for copies of remote files, shared by all processes."""

    log_state: list[tuple[Any, ...]] = field(default_factory=list)
    """How the parent configured logging (`lsst.daf.butler.cli.cliLog.CliLog.configState`)."""

    paths: PathMap = field(default_factory=PathMap)
    """Names of files where quanta run; those above are translated already."""

    @property
    def sync_outputs(self) -> bool:
        """Whether the runner forces outputs of each quantum to disk; otherwise one process does it for many quanta."""
        return self.durable and (self.elsewhere or self.output_butler is OutputButler.FULL)

    @property
    def syncs_in_bulk(self) -> bool:
        """Whether outputs reach the disk with those of other quanta, shortly before they are registered."""
        return self.registry and not self.elsewhere and self.output_butler is OutputButler.QUANTUM_BACKED

    @property
    def files(self) -> Mapping[str, str]:
        """The graph file."""
        return {_GRAPH: self.graph}

    @property
    def target(self) -> str | None:
        """The output run, which one command at a time may lease; `None` without a registry: then there is no lease."""
        if not self.registry:
            return None
        config = self.butler_config
        exists = "://" not in config and os.path.exists(config)  # noqa: PTH110  as above
        return f"{os.path.realpath(config) if exists else config} {self.run}"

    def moved(self, folder: str) -> ButlerRunnerSpec:
        """Return a specification for other working directories, which reads the copy of the graph file in a folder."""
        return replace(
            self,
            graph=str(Path(folder) / _GRAPH),
            butler_config=absolute_config(self.butler_config),
            datastore_cache=None,  # it is removed with this process
            elsewhere=True,
        )

    def roots(self) -> list[str]:
        """Return the local folders of the datastore."""
        from .relocation import datastore_roots

        return datastore_roots(self.butler_config, self.config_search_path)

    def translated(self, paths: PathMap) -> ButlerRunnerSpec:
        """Return a specification for processes that see files under other names."""
        if self.output_butler is OutputButler.FULL:
            raise UsageError(
                "paths: in --engine-settings need --output-butler quantum-backed: a full butler would note the names "
                "of the other side."
            )
        return replace(
            self,
            graph=paths.there(str(Path(self.graph).absolute())),
            butler_config=paths.there(absolute_config(self.butler_config)),
            config_search_path=tuple(map(paths.there, self.config_search_path)),
            datastore_cache=self.datastore_cache and paths.there(self.datastore_cache),
            log_state=[_translated(call, paths) for call in self.log_state],
            paths=paths,
        )

    def write_parts(self, parts: Iterable[tuple[Path, Sequence[bytes]]]) -> None:
        """Write graph parts, one to each folder."""
        from ..graph.parts import write_parts

        write_parts(
            self.graph, ((folder / _GRAPH, [uuid.UUID(bytes=id) for id in ids]) for folder, ids in parts)
        )

    def resuming(self) -> ButlerRunnerSpec:
        """Return a specification that replaces unregistered files, and skips quanta whose metadata is stored."""
        return replace(self, extend_run=True)

    def prepare_process(self) -> None:
        """Set up a process that was started to run quanta: logging, threads and the datastore's cache."""
        from .process_setup import limit_threads, replay_logging, use_datastore_cache

        replay_logging(self.log_state)
        use_datastore_cache(self.datastore_cache)
        if not self.implicit_threads:
            limit_threads()

    def open(self, on_exception: ExceptionHook | None = None) -> QuantumRunner:
        """Make the runner: import the tasks, open the butler and the graph file."""
        from .quantum_runner import FullButlerRunner, QuantumBackedRunner

        match self.output_butler:
            case OutputButler.QUANTUM_BACKED:
                return QuantumBackedRunner(self, on_exception)
            case OutputButler.FULL:
                return FullButlerRunner(self, on_exception)
            case other:
                raise AssertionError(f"no runner for {other!r}")


def _translated(value: Any, paths: PathMap) -> Any:
    """Return a value in which paths are translated, such as that of a log file."""
    match value:
        case str():
            return paths.there(value)
        case tuple():
            return tuple(_translated(each, paths) for each in value)
        case _:
            return value
