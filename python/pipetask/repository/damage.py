"""Files in the datastore that differ from their records in the registry."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lsst.daf.butler import Butler, DatasetRef

from ..storage.files import RecordedFile, recorded_files, sizes_of

__all__ = ["Damage", "find_damage"]


@dataclass(frozen=True)
class Damage:
    """A file that is missing, or not as large as recorded."""

    ref: DatasetRef
    file: RecordedFile
    size: int | None
    """Its size; `None` if it is missing."""

    def __str__(self) -> str:
        found = "missing" if self.size is None else f"{self.size} bytes instead of {self.file.size}"
        return f"{self.file.place} is {found}"


def find_damage(butler: Butler, refs: Collection[DatasetRef]) -> list[Damage]:
    """Check in bulk whether the files of registered datasets exist and have the recorded sizes.

    Parameters
    ----------
    butler
        The repository.
    refs
        The datasets; those without records have no files, and are skipped.

    Returns
    -------
    damage
        All files for which that is not so.
    """
    datastore = butler._datastore
    files = list(recorded_files(datastore, datastore.export_records(refs))) if refs else []
    sizes = sizes_of([file.place for file in files])
    by_id = {ref.id: ref for ref in refs}
    return [
        Damage(by_id[file.dataset_id], file, size)
        for file, size in zip(files, sizes, strict=True)
        if not file.agrees_with(size)
    ]
