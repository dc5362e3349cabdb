"""The files of datasets: their paths, their recorded sizes, and their actual sizes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from lsst.daf.butler import Butler, DatasetRef, LimitedButler
from lsst.resources import ResourcePath
from lsst.utils.iteration import chunk_iterable

__all__ = [
    "RecordedFile",
    "file_datastores",
    "forget",
    "local_paths",
    "local_roots",
    "recorded_files",
    "remove_files",
    "sizes_of",
    "uris_of",
]

Place: TypeAlias = "str | ResourcePath"
"""A path on this machine, or the URI of a file elsewhere."""

_THREADS = 16
_AT_A_TIME = 200
"""Number of files that a thread checks at a time."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=,@")


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file, as a datastore record describes it."""

    dataset_id: uuid.UUID
    place: Place
    size: int
    """In bytes; -1 if it was not recorded."""

    def agrees_with(self, size: int | None) -> bool:
        """Return whether a file of this size (`None`: no file) can be the recorded one."""
        return size is not None and (size == self.size if self.size >= 0 else size > 0)


def file_datastores(datastore: Any) -> dict[str, Any]:
    """Return the file datastores by name: the datastore itself, or those in a chained one."""
    if (children := getattr(datastore, "datastores", None)) is not None:
        return {name: each for child in children for name, each in file_datastores(child).items()}
    return {datastore.name: datastore} if hasattr(datastore, "locationFactory") else {}


def local_roots(datastore: Any, run: str) -> list[str]:
    """Return the local folders in which a datastore keeps files, and the folders of a run in them.

    The latter may be links to other file systems.
    """
    roots = [root.ospath for root in datastore.roots.values() if root is not None and root.isLocal]
    return roots + [str(Path(root, run)) for root in roots]


def recorded_files(datastore: Any, records: Mapping[str, Any]) -> Iterator[RecordedFile]:
    """Yield the files that datastore records describe.

    Parameters
    ----------
    datastore
        The datastore that the records are of.
    records
        Records by datastore name, as `lsst.daf.butler.Datastore.export_records` returns them.
    """
    children = file_datastores(datastore)
    for name, data in records.items():
        if (child := children.get(name)) is None:
            continue
        root = child.root.ospath.rstrip("/") if child.root.isLocal else None
        for dataset_id, tables in data.records.items():
            for info in chain.from_iterable(tables.values()):
                yield RecordedFile(dataset_id, _place(child, root, info), info.file_size)


def sizes_of(places: Sequence[Place]) -> list[int | None]:
    """Return the sizes of files, `None` for missing ones.

    Several are checked in parallel, because each check may be slow.
    """
    if len(places) <= _AT_A_TIME:
        return [_size(place) for place in places]
    with ThreadPoolExecutor(_THREADS) as threads:
        parts = threads.map(lambda part: [_size(place) for place in part], chunk_iterable(places, _AT_A_TIME))
        return list(chain.from_iterable(parts))


def uris_of(datastore: Any, refs: Iterable[DatasetRef]) -> dict[DatasetRef, list[ResourcePath]]:
    """Return the URIs that the files of datasets have, or would have, in each datastore that accepts them."""
    found: dict[DatasetRef, list[ResourcePath]] = {ref: [] for ref in refs}
    for child in file_datastores(datastore).values():
        taken = [ref for ref in found if child.constraints.isAcceptable(ref)]
        for ref, uris in child.getManyURIs(taken, predict=True).items():
            each = (uris.primaryURI, *uris.componentURIs.values())
            found[ref] += [uri.replace(fragment="") for uri in each if uri is not None]
    return found


def local_paths(datastore: Any, refs: Iterable[DatasetRef]) -> list[str]:
    """Return the local paths that the files of datasets have, or would have."""
    return [uri.ospath for uris in uris_of(datastore, refs).values() for uri in uris if uri.isLocal]


def remove_files(butler: LimitedButler, refs: Iterable[DatasetRef]) -> None:
    """Remove the files of datasets, whether or not the butler has records of them."""
    for uri in chain.from_iterable(uris_of(butler._datastore, refs).values()):
        with suppress(FileNotFoundError):
            uri.remove()


def forget(butler: Butler, refs: Sequence[DatasetRef]) -> None:
    """Remove datasets from registry and datastore in one transaction, and then remove their files.

    Unlike `lsst.daf.butler.Butler.pruneDatasets`, this leaves nothing in the trash if the process is killed meanwhile.
    Datasets that are made again have the same IDs, and emptying the trash later would remove their files (see D31).
    """
    with butler.transaction():
        butler._datastore.forget(refs)
        butler.registry.removeDatasets(refs)
    remove_files(butler, refs)


def _place(datastore: Any, root: str | None, info: Any) -> Place:
    if root is not None and _PLAIN.issuperset(info.path) and not info.path.startswith("/"):
        return f"{root}/{info.path}"  # ten times as fast as the lines below
    uri = info.file_location(datastore.locationFactory).uri
    return uri.ospath if uri.isLocal else uri


def _size(place: Place) -> int | None:
    try:
        return os.stat(place).st_size if isinstance(place, str) else int(place.size())  # noqa: PTH116  called for each file
    except (FileNotFoundError, NotADirectoryError):
        return None
