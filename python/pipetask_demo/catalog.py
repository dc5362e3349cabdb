"""Tables, with their columns described in a schema that can be stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Column, Table

__all__ = [
    "LIGHT_CURVE_COLUMNS",
    "OBJECT_COLUMNS",
    "SOURCE_COLUMNS",
    "VARIABILITY_COLUMNS",
    "Columns",
    "Schema",
    "columns_of",
    "make_table",
    "schema_of",
]

Columns = Mapping[str, tuple[str, str, str]]
"""Type (of `numpy.dtype`), unit (of `astropy.units`) and description by name."""

Schema = dict[str, dict[str, str]]
"""The same with named fields, as it is stored by the butler."""

SOURCE_COLUMNS: Columns = {
    "id": ("int64", "", "Unique number of the source."),
    "x": ("float64", "pix", "Column of the centre; the first pixel's centre is zero."),
    "y": ("float64", "pix", "Row of the centre; the first pixel's centre is zero."),
    "flux": ("float64", "electron", "Light in the aperture."),
    "flux_error": ("float64", "electron", "Standard deviation of flux."),
    "fwhm": ("float64", "pix", "Full width at half maximum of a Gaussian of the same second moment."),
    "significance": ("float64", "", "Signal divided by noise of the detection."),
    "complete": ("bool", "", "Whether every pixel of the aperture is good."),
}

OBJECT_COLUMNS: Columns = {
    "ra": ("float64", "deg", "Right ascension, ICRS."),
    "dec": ("float64", "deg", "Declination, ICRS."),
    "band": ("str", "", "Band of the coadd in which it was measured."),
    "flux": ("float64", "nJy", "Light in the aperture."),
    "flux_error": ("float64", "nJy", "Standard deviation of flux."),
}
"""What objects have in addition to sources, or differently."""

LIGHT_CURVE_COLUMNS: Columns = {
    "object": ("int64", "", "Unique number of the object."),
    "ra": ("float64", "deg", "Right ascension of the object, ICRS."),
    "dec": ("float64", "deg", "Declination of the object, ICRS."),
    "visit": ("int64", "", "Visit of the observation."),
    "band": ("str", "", "Band of the visit."),
    "mjd": ("float64", "d", "Middle of the exposure, TAI."),
    "flux": ("float64", "nJy", "Light of the source."),
    "flux_error": ("float64", "nJy", "Standard deviation of flux."),
}
"""Observations of objects."""

VARIABILITY_COLUMNS: Columns = {
    "object": ("int64", "", "Unique number of the object."),
    "ra": ("float64", "deg", "Right ascension, ICRS."),
    "dec": ("float64", "deg", "Declination, ICRS."),
    "observations": ("int64", "", "Number of visits in which it was measured."),
    "chi2": ("float64", "", "Chi squared for each degree of freedom, of a constant star."),
    "variable": ("bool", "", "Whether it varies, and a sine explains most of it."),
    "period": ("float64", "d", "Period of the best sine; NaN if it does not vary."),
    "amplitude": ("float64", "", "Half of the range as a fraction of the mean; NaN if it does not vary."),
    "sine_chi2": ("float64", "", "Chi squared for each degree of freedom, of the best sine; NaN if none."),
}
"""Statistics of light curves."""


def columns_of(table: Table, *names: str) -> npt.NDArray[np.float64]:
    """Return columns of a table as an array, shape (n, number of names)."""
    return np.column_stack([table[name] for name in names]).astype(np.float64)


def schema_of(columns: Columns) -> Schema:
    """Return columns in the form in which the butler can store them."""
    return {
        name: {"type": dtype, "unit": unit, "description": description}
        for name, (dtype, unit, description) in columns.items()
    }


def make_table(schema: Schema, values: Mapping[str, npt.ArrayLike]) -> Table:
    """Make a table.

    Parameters
    ----------
    schema : `dict`
        Types, units and descriptions of its columns, in their order.
    values : `~collections.abc.Mapping`
        Values of each column.

    Returns
    -------
    table : `astropy.table.Table`
        One row for each value.

    Raises
    ------
    ValueError
        Raised if the columns of schema and values are not the same.
    """
    if schema.keys() != values.keys():
        raise ValueError(
            f"Columns {sorted(schema.keys() ^ values.keys())} are only in the schema or only given."
        )
    return Table([_column(name, field, values[name]) for name, field in schema.items()])


def _column(name: str, field: Mapping[str, str], values: Any) -> Column:
    data = np.asarray(values, dtype=np.dtype(field["type"]))
    return Column(data, name=name, unit=field["unit"] or None, description=field["description"])
