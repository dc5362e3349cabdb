"""Find out from stored files whether a quantum has succeeded."""

from __future__ import annotations

from typing import Any

from lsst.daf.butler import DatasetRef, FileIntegrityError, LimitedButler, Quantum
from lsst.pipe.base.pipeline_graph import TaskNode

from ..storage.files import sizes_of, uris_of

__all__ = ["is_success_stored", "read_or_none", "success_marks"]


def success_marks(node: TaskNode, quantum: Quantum) -> list[DatasetRef]:
    """Return the datasets whose presence means success: the metadata, and the log if there is one."""
    outputs = [node.metadata_output] + ([node.log_output] if node.log_output is not None else [])
    return [ref for output in outputs for ref in quantum.outputs[output.dataset_type_name]]


def is_success_stored(butler: LimitedButler, node: TaskNode, quantum: Quantum) -> bool:
    """Return whether a quantum has succeeded, and all its outputs exist.

    The sizes of the files are not recorded.  Metadata and log must be readable, and the outputs that the metadata lists
    must exist and not be empty: a file that had not reached the disk at a power cut is empty.

    Parameters
    ----------
    butler
        The butler with the outputs.
    node
        The quantum's task.
    quantum
        The quantum.
    """
    marks = success_marks(node, quantum)
    if not all(butler.stored_many(marks).values()):
        return False
    metadata, *logs = [read_or_none(butler, ref) for ref in marks]
    if metadata is None or None in logs:
        return False
    written = set(metadata.getArray("quantum.outputs")) if "quantum.outputs" in metadata.names() else ()
    refs = [ref for refs in quantum.outputs.values() for ref in refs if str(ref.id) in written]
    return all(_has_content(uris) for uris in uris_of(butler._datastore, [*refs, *marks]).values())


def read_or_none(butler: LimitedButler, ref: DatasetRef) -> Any:
    """Read a metadata or log dataset; `None` if it is missing or damaged."""
    try:
        return butler.get(ref)
    except FileNotFoundError:
        return None
    except (ValueError, FileIntegrityError) as error:
        # The butler raises this for a file with invalid content, and also for an unreachable one.
        if isinstance(error.__cause__, OSError):
            raise
        return None


def _has_content(uris: list[Any]) -> bool:
    """Return whether a dataset that is stored in files has some, and none is empty; components may be missing."""
    sizes = sizes_of([uri.ospath if uri.isLocal else uri for uri in uris])
    return not sizes or (any(sizes) and 0 not in sizes)
