"""What the settings of an engine mean for one run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import closest
from ...outcome import QuantumOutcome
from ...settings.engine import EngineSettings
from .code_package import CodePackage, pack
from .environment import Environment
from .shared_folder import SharedFolder

__all__ = ["Surroundings"]

_LOG = logging.getLogger(__name__)


class Surroundings:
    """Names of files, environments and code where quanta run.

    Parameters
    ----------
    settings
        The settings of the engine.
    is_here
        Whether workers of the engine are processes of this machine, which see files as this process does; only quanta
        may see them under other names, in a container.

    Raises
    ------
    UsageError
        If there is no code to be sent.
    """

    def __init__(self, settings: EngineSettings, *, is_here: bool):
        self.paths = settings.path_map
        self._settings = settings
        self._is_here = is_here
        self._packages: dict[tuple[tuple[str, tuple[str, ...]], ...], CodePackage] = {}
        self._data: dict[CodePackage, bytes] = {}
        self._known: dict[Environment, Environment] = {}
        self.usual = self._environment(settings)
        """The environment of labels of which nothing else is said."""

        for each in settings.labels.values():
            self._package(each.code or {})

    def environments(
        self, labels: Sequence[str], subsets: Callable[[], Mapping[str, Collection[str]]]
    ) -> tuple[Environment, ...]:
        """Return the environment of each label.

        Parameters
        ----------
        labels
            Labels of a graph.
        subsets
            Returns the labels of each subset of the pipeline.
        """
        if not self._settings.labels:
            return (self.usual,) * len(labels)
        known = subsets()
        return tuple(self._environment(self._settings.of_label(label, known)) for label in labels)

    def warn_of_labels(
        self, labels: Sequence[str], subsets: Callable[[], Mapping[str, Collection[str]]]
    ) -> None:
        """Warn of labels that may be misspelt; settings of a site may have some of other pipelines."""
        if not self._settings.labels:
            return
        known = {*labels, *subsets()}
        for label in self._settings.labels:
            if label not in known and (close := closest(label, known)):
                _LOG.warning("--engine-settings: the graph has no task %r: did you mean %r?", label, close)

    def _environment(self, settings: EngineSettings) -> Environment:
        container = settings.container or ()
        assert not isinstance(container, str), "it was taken apart"
        variables = tuple((name, str(value)) for name, value in (settings.environment or {}).items())
        found = Environment(
            settings.python or None,
            tuple(container),
            variables,
            settings.setup or None,
            self._package(settings.code or {}),
        )
        return self._known.setdefault(found, found)  # so that equal ones are the same object

    def _package(self, code: Mapping[str, Sequence[str] | str | None]) -> CodePackage | None:
        if not code:
            return None
        key = tuple((folder, tuple(patterns or ())) for folder, patterns in code.items())
        if key not in self._packages:  # the files are read once
            package, data = pack(dict(key))
            self._packages[key] = package
            self._data[package] = data
        return self._packages[key]

    def code_of(self, environment: Environment) -> bytes | None:
        """Return the code package of an environment, if it has one."""
        return None if environment.code is None else self._data[environment.code]

    def folder_there(self, folder: SharedFolder | None) -> SharedFolder | None:
        """Return the name that an engine's workers have for a folder."""
        if folder is None or self._is_here:
            return folder
        return SharedFolder(Path(self.paths.there(str(folder.path))))

    def put_code(self, folder: SharedFolder) -> None:
        """Put all code packages into a folder that both sides see; without one they travel with a bundle."""
        for package, data in self._data.items():
            with contextlib.suppress(OSError):
                folder.put(package.file_name, data)

    def back(self, outcome: QuantumOutcome) -> QuantumOutcome:
        """Return an outcome that names files as this side does."""
        if not self.paths:
            return outcome
        log = outcome.log and self.paths.back(outcome.log)
        return replace(outcome, log=log, earlier=tuple(map(self.back, outcome.earlier)))
