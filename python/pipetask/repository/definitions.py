"""Say what differs between two definitions of a dataset type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import reason_of

__all__ = ["what_differs"]

_DEFINITION = re.compile(r"DatasetType\('([^']*)', \{([^}]*)\}, ([^,)]+)((?:, isCalibration=True)?)\)")


@dataclass(frozen=True)
class _Definition:
    name: str
    dimensions: frozenset[str]
    storage_class: str
    is_calibration: bool


def what_differs(error: BaseException) -> str:
    """Return what an error of pipe_base or the butler says of two definitions, without what they have in common.

    They write both in full, with a dozen implied dimensions each, and the first is the task's or the graph's.

    Parameters
    ----------
    error
        The exception; of any other, the first line of its message is returned.
    """
    found = [
        _Definition(name, frozenset(filter(None, dimensions.split(", "))), storage_class, bool(calibration))
        for name, dimensions, storage_class, calibration in _DEFINITION.findall(str(error))
    ]
    if len(found) != 2 or not (parts := list(_differences(*found))):
        return reason_of(error)
    return f"dataset type {found[0].name!r} has {' and '.join(parts)}"


def _differences(ours: _Definition, registered: _Definition) -> Iterator[str]:
    if ours.storage_class != registered.storage_class:
        yield f"storage class {ours.storage_class} here, and {registered.storage_class} in the repository"
    more, fewer = (
        ", ".join(sorted(one - other))
        for one, other in (
            (ours.dimensions, registered.dimensions),
            (registered.dimensions, ours.dimensions),
        )
    )
    if more:
        yield f"the dimensions {more} only here"
    if fewer:
        yield f"the dimensions {fewer} only in the repository"
    if ours.is_calibration != registered.is_calibration:
        yield f"isCalibration={ours.is_calibration} here, and {registered.is_calibration} in the repository"
