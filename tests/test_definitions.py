"""What is said of two definitions of a dataset type."""

from __future__ import annotations

import pytest
from lsst.daf.butler import DatasetType, DimensionUniverse

from pipetask.repository.definitions import what_differs

UNIVERSE = DimensionUniverse()


def definition(
    *dimensions: str, storage_class: str = "StructuredDataDict", calibration: bool = False
) -> DatasetType:
    return DatasetType("x", UNIVERSE.conform(dimensions), storage_class, isCalibration=calibration)


@pytest.mark.parametrize(
    ("ours", "registered", "said"),
    [
        (
            definition("visit"),
            definition("visit", storage_class="Packages"),
            "storage class StructuredDataDict here, and Packages in the repository",
        ),
        (definition("visit", "detector"), definition("visit"), "the dimensions detector only here"),
        (definition(), definition("skymap"), "the dimensions skymap only in the repository"),
        (
            definition("instrument"),
            definition("instrument", calibration=True),
            "isCalibration=False here, and True in the repository",
        ),
        (
            definition("skymap", storage_class="Packages"),
            definition("instrument"),
            "storage class Packages here, and StructuredDataDict in the repository and the dimensions skymap only here "
            "and the dimensions instrument only in the repository",
        ),
    ],
)
def test_only_what_differs_is_said(ours: DatasetType, registered: DatasetType, said: str) -> None:
    error = ValueError(f"Incompatible definition: task has {ours}, but data repository has {registered}.")
    assert what_differs(error) == f"dataset type 'x' has {said}"


def test_any_other_error_is_quoted() -> None:
    assert what_differs(ValueError("no such\nthing")) == "no such"
    assert what_differs(ValueError(f"{definition()} twice: {definition()}")).startswith("DatasetType('x', {}")
