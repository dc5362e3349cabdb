"""Files in the datastore that are not what the registry says."""

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
    """How large it is; `None` if it is not there."""

    def __str__(self) -> str:
        found = "missing" if self.size is None else f"{self.size} bytes instead of {self.file.size}"
        return f"{self.file.place} is {found}"


def find_damage(butler: Butler, refs: Collection[DatasetRef]) -> list[Damage]:
    """Look, in bulk, whether the files of registered datasets are there, and as large as recorded.

    Parameters
    ----------
    butler
        The repository.
    refs
        The datasets; those without records have no files, and are nobody's concern.

    Returns
    -------
    damage
        All files that are not.
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
