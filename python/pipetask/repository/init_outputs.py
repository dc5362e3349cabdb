"""Init-outputs, configs and package versions: everything in an output run besides outputs of quanta."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, LimitedButler
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pex.config import Config
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from ..errors import PipetaskError, reason_of
from ..graph.file import GraphLike
from ..options.collections import ConfigSearchOptions
from ..options.graph import GraphSelection
from ..runner.debris import Debris
from ..runner.process_setup import shared_datastore_cache
from ..storage.durability import sync_files
from ..storage.files import local_paths, sizes_of, uris_of
from .access import open_datastore, open_graph

__all__ = ["InitOutputs", "init_output_refs", "init_output_run", "said_of_init_outputs"]

_LOG = logging.getLogger(__name__)


def init_output_run(
    butler_config: str | Path,
    graph: GraphLike,
    search: ConfigSearchOptions | None = None,
    *,
    qgraph_id: str | None = None,
) -> None:
    """Write init-outputs, configs and package versions of a graph without a registry.

    Existing ones are compared, and kept.

    Parameters
    ----------
    butler_config
        Root, configuration file or alias of the repository.
    graph
        The graph.
    search
        Where to search for configuration of the butler.
    qgraph_id
        Identifier that a legacy graph file must have.

    Raises
    ------
    PipetaskError
        If graph or datastore do not open, if existing ones differ from those of this graph, or if a task cannot be
        constructed.  The datastore is unchanged.
    """
    paths = (search or ConfigSearchOptions()).config_search_path
    selection = GraphSelection(qgraph_id=qgraph_id, quantum_ids=frozenset())
    with (
        open_graph(str(butler_config), graph, selection, paths) as file,
        shared_datastore_cache(),
        open_datastore(str(butler_config), file, paths, writeable=True),
        file.init.make_init_qbb(str(butler_config), config_search_paths=paths) as butler,
        said_of_init_outputs(file.header.output_run),
    ):
        refs = init_output_refs(file.init)
        Debris().remove(local_paths(butler._datastore, refs))
        remove_empty(butler, refs)
        outputs = InitOutputs.of(butler, file.init)
        with _taken_back_on_error(butler, outputs.written):
            outputs.write_new()
        outputs.replace_old()
        sync_files(local_paths(butler._datastore, refs))


def init_output_refs(graph: PredictedQuantumGraph, *, packages: bool = True) -> list[DatasetRef]:
    """Return the datasets that must be written before the quanta of a graph can run.

    Parameters
    ----------
    graph
        The graph, with its init-quanta loaded.
    packages
        Whether package versions are part of it.
    """
    labels = [label for label, quanta in graph.header.n_task_quanta.items() if quanta]
    labels += [""] if packages else []
    return [ref for label in labels for ref in graph.get_init_outputs(label).values()]


def remove_empty(butler: LimitedButler, refs: list[DatasetRef]) -> None:
    """Remove datasets with empty files, which a power cut has left."""
    places = {uri: ref for ref, uris in uris_of(butler._datastore, refs).items() for uri in uris}
    sizes = sizes_of([uri.ospath if uri.isLocal else uri for uri in places])
    empty = {ref for ref, size in zip(places.values(), sizes, strict=True) if size == 0}
    butler.pruneDatasets(empty, disassociate=True, unstore=True, purge=True)


class InitOutputs:
    """The datasets that must be written before the quanta of a graph can run; `of` makes one, and writes nothing.

    Constructing the tasks is slow and may fail, so it comes first.  pipe_base uses this object as a butler.

    Parameters
    ----------
    butler
        Where they will be written.
    refs
        The datasets that may have to be written.

    Attributes
    ----------
    written
        The datasets that `write_new` has written so far.
    """

    def __init__(self, butler: LimitedButler, refs: list[DatasetRef]):
        self._butler = butler
        self._absent = {ref.id for ref, stored in butler.stored_many(refs).items() if not stored}
        self._contents: list[tuple[Any, DatasetRef]] = []
        self.written: list[DatasetRef] = []

    @classmethod
    def of(cls, butler: LimitedButler, graph: PredictedQuantumGraph, *, packages: bool = True) -> InitOutputs:
        """Construct the tasks of a graph, and compare existing datasets.

        Parameters
        ----------
        butler
            Where they will be written.
        graph
            The graph, with its init-quanta loaded.
        packages
            Whether package versions are part of it.

        Raises
        ------
        lsst.daf.butler.registry.ConflictingDefinitionError
            If existing datasets differ from those of this graph.
        """
        result = cls(butler, init_output_refs(graph, packages=packages))
        graph.write_init_outputs(result, skip_existing=True)
        graph.write_configs(result, compare_existing=True)
        if packages:
            graph.write_packages(result, compare_existing=True)
        return result

    @property
    def new(self) -> list[DatasetRef]:
        """The datasets that do not exist yet."""
        return [ref for _, ref in self._contents if ref.id in self._absent]

    def write_new(self) -> None:
        """Write the datasets that do not exist yet."""
        for content, ref in self._contents:
            if ref.id in self._absent:
                self._butler.put(content, ref)
                self.written.append(ref)
                if isinstance(content, Config):
                    self._check_config(content, ref)

    def _check_config(self, config: Config, ref: DatasetRef) -> None:
        """Check that a config was written completely (see D37).

        pex_config moves the file before it has closed it.  If it cannot be renamed, the part written so far is copied,
        and the rest is lost without an error.
        """
        text = config.saveToString()
        for path in local_paths(self._butler._datastore, [ref]):
            stored = Path(path).read_text()
            if text != stored and text.startswith(stored):
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def replace_old(self) -> None:
        """Replace package versions that have changed.

        There are two steps, and the command may be killed after each.  The trash of a butler is not used: emptying it
        later would delete the new file together with the old one.
        """
        for content, ref in self._contents:
            if ref.id not in self._absent:
                self._forget(ref)
                self._butler.put(content, ref)

    def _forget(self, ref: DatasetRef) -> None:
        if isinstance(self._butler, Butler):
            with self._butler.transaction():
                self._butler._datastore.forget([ref])
                self._butler.registry.removeDatasets([ref])
        else:
            self._butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)

    # The methods of a butler that pipe_base calls.

    def stored_many(self, refs: Iterable[DatasetRef]) -> dict[DatasetRef, bool]:
        """Return which datasets are stored."""
        return {ref: ref.id not in self._absent for ref in refs}

    def get(self, ref: DatasetRef) -> Any:
        """Read a dataset."""
        if ref.id in self._absent:
            raise FileNotFoundError(str(ref))
        return self._butler.get(ref)

    def put(self, content: Any, ref: DatasetRef) -> None:
        """Record a dataset that must be written."""
        self._contents.append((content, ref))

    def pruneDatasets(self, refs: Iterable[DatasetRef], **options: Any) -> None:  # noqa: N802
        """Do nothing: an existing dataset that is put again will be replaced."""


@contextmanager
def _taken_back_on_error(butler: LimitedButler, refs: list[DatasetRef]) -> Iterator[None]:
    """If not everything can be written, remove what has been written, and nothing else."""
    try:
        yield
    except BaseException:
        try:
            butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
        except Exception as error:
            _LOG.warning(
                "Some init-outputs are left (%s): the same command continues from there.", reason_of(error)
            )
            _LOG.debug("The error in full.", exc_info=error)
        raise


@contextmanager
def said_of_init_outputs(run: str) -> Iterator[None]:
    """Say in one line why init-outputs could not be written."""
    try:
        yield
    except ConflictingDefinitionError as error:
        raise PipetaskError(
            f"Run {run!r} holds other init-outputs or configs than this graph ({reason_of(error)}): use a new run, or "
            "the graph that the run was created with."
        ) from error
    except Exception as error:
        raise PipetaskError(
            f"Init-outputs of run {run!r} cannot be written ({type(error).__name__}: {reason_of(error)}): put that "
            "right and try again; --log-level DEBUG shows where it is."
        ) from error
