"""Tables of data IDs, which constrain a graph."""

from __future__ import annotations

from collections.abc import Iterable

from astropy.table import Table
from lsst.daf.butler import DimensionUniverse
from lsst.resources import ResourcePath

from ..errors import PipetaskError, UsageError, did_you_mean, reason_of

__all__ = ["read_data_id_tables"]


def read_data_id_tables(uris: Iterable[str], universe: DimensionUniverse) -> list[Table]:
    """Read tables in any format that astropy supports.

    Parameters
    ----------
    uris
        Paths or URIs of the tables.
    universe
        The dimensions; each column must be one of them.

    Raises
    ------
    PipetaskError
        If a file does not exist, or is not a table.
    UsageError
        If a column is not a dimension.
    """
    return [_read(uri, universe) for uri in uris]


def _read(uri: str, universe: DimensionUniverse) -> Table:
    try:
        with ResourcePath(uri).as_local() as local:
            table = Table.read(local.ospath)
    except FileNotFoundError as error:
        raise PipetaskError(f"--data-id-table: there is no file {uri}: check the name.") from error
    except Exception as error:
        raise PipetaskError(
            f"--data-id-table: {uri} cannot be read as a table ({reason_of(error)}): give one whose name tells a "
            "format of astropy's, such as .ecsv, .csv, .fits or .parquet."
        ) from error
    for column in table.colnames:
        if column not in universe.dimensions.names:
            hint = did_you_mean(column, universe.dimensions.names, "")
            raise UsageError(f"--data-id-table: column {column!r} of {uri} is no dimension{hint}")
    table.convert_bytestring_to_unicode()  # FITS has only bytes
    table.meta["filename"] = uri  # the builder's log names it
    return table
