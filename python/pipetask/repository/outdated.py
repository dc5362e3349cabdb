"""Remove the outputs of quanta that will run again (see D31)."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing

from lsst.daf.butler import Butler, DatasetRef
from lsst.utils.iteration import chunk_iterable

from ..graph.file import GraphFile
from ..graph.reader import QuantumReader
from ..storage.files import forget, remove_files

__all__ = ["forget_outdated"]

CHUNK = 1000
"""Quanta that are read at a time."""


def forget_outdated(butler: Butler, file: GraphFile, positions: Collection[int]) -> None:
    """Remove all outputs of some quanta.

    Parameters
    ----------
    butler
        The repository, writeable.
    file
        The graph.
    positions
        Positions of the quanta in the graph's structure.

    Notes
    -----
    If this is killed, the next command finds the same quanta.  The metadata files are removed first, those of
    dependents before those of their prerequisites.  Until the last one is removed, the damage can still be detected;
    after that, the registry has records of missing metadata files.  Then all outputs are removed from the registry in
    one transaction, and quanta without metadata run.
    """
    if not positions:
        return
    wanted = frozenset(positions)
    structure = file.structure
    ids = [structure.quantum_id(position) for position in structure.depth_first() if position in wanted]
    outputs: list[DatasetRef] = []
    with closing(QuantumReader(file.path)) as reader:
        for chunk in chunk_iterable(ids[::-1], CHUNK):
            for node, quantum in reader.read(chunk).values():
                remove_files(butler, quantum.outputs[node.metadata_output.dataset_type_name])
                outputs += [ref for refs in quantum.outputs.values() for ref in refs]
    forget(butler, outputs)
