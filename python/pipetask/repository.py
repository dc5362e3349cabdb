"""Open a butler repository, and say plainly if that fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lsst.daf.butler import Butler, ButlerConfig
from lsst.resources import ResourcePath

from .errors import PipetaskError
from .graph_file import GraphFile
from .runner.spec import OutputButler

__all__ = ["check_graph_fits", "check_writeable", "open_repository", "output_butler_for"]

_DIRECT = {"FileDatastore", "ChainedDatastore"}


@contextmanager
def open_repository(config: str, *, writeable: bool) -> Iterator[Butler]:
    """Open a repository.

    Parameters
    ----------
    config
        Its root, its configuration file, or an alias.
    writeable
        Whether it is to be written to.

    Raises
    ------
    PipetaskError
        If there is none, or if it does not open.
    """
    try:
        butler = Butler.from_config(config, writeable=writeable)
    except FileNotFoundError as error:
        path = ResourcePath(config)
        if path.isLocal and not os.path.exists(path.ospath):  # noqa: PTH110  what a user typed may not be a path
            raise PipetaskError(f"There is no repository at {config}.") from error
        raise PipetaskError(f"{config} is not a butler repository: it has no butler.yaml.") from error
    except Exception as error:
        raise PipetaskError(f"Repository {config} does not open: {_first_line(error)}") from error
    try:
        yield butler
    finally:
        butler.close()


def check_writeable(butler: Butler, config: str) -> None:
    """Check that registry and datastore can be written to, by making and undoing a small change.

    Raises
    ------
    PipetaskError
        If one of them cannot.
    """
    try:
        with butler.transaction():
            butler.collections.defaults  # noqa: B018  opens the transaction's connection
            raise _Undo
    except _Undo:
        pass
    except Exception as error:
        raise PipetaskError(f"Repository {config} cannot be written to: {_first_line(error)}") from error


class _Undo(Exception):
    pass


def check_graph_fits(butler: Butler, graph: GraphFile, config: str) -> None:
    """Check that a graph was made for this repository.

    Raises
    ------
    PipetaskError
        If the dimension universes differ, or if the repository lacks what the graph takes from it.
    """
    ours, theirs = butler.dimensions, graph.pipeline.universe
    if not theirs.isCompatibleWith(ours):
        raise PipetaskError(
            f"{graph.path} was made for dimension universe {theirs}, and {config} has {ours}: build the graph for "
            "this repository."
        )
    known = set(butler.collections.query("*")) if graph.header.inputs else set()
    missing = [name for name in graph.header.inputs if name not in known]
    if missing:
        raise PipetaskError(
            f"{graph.path} takes inputs from {missing[0]!r}, which {config} does not have: was it built for another "
            "repository?"
        )
    _check_first_inputs(butler, graph, config)


def _check_first_inputs(butler: Butler, graph: GraphFile, config: str) -> None:
    structure = graph.structure
    if not len(structure):
        return
    quantum = graph.quantum(structure.quantum_id(next(structure.depth_first())))
    for refs in quantum.inputs.values():
        for ref in refs[:1]:
            if ref.run != graph.header.output_run and butler.get_dataset(ref.id) is None:
                raise PipetaskError(
                    f"{graph.path} needs dataset {ref}, which {config} does not have: was it built for another "
                    "repository, or has the dataset been removed?"
                )


def output_butler_for(config: str) -> OutputButler:
    """Return through which butler quanta can write to a repository.

    A quantum-backed butler needs a datastore whose files outlive the process that writes them.
    """
    datastore = ButlerConfig(config)["datastore"]
    classes = [str(datastore["cls"])] + [str(child["cls"]) for child in datastore.get("datastores", [])]
    direct = all(name.rpartition(".")[2] in _DIRECT for name in classes)
    return OutputButler.QUANTUM_BACKED if direct else OutputButler.FULL


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
