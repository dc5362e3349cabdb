"""The expression that data IDs have to satisfy."""

from __future__ import annotations

from lsst.daf.butler import Butler, InvalidQueryError

from ..errors import UsageError

__all__ = ["check_data_query"]


def check_data_query(butler: Butler, data_query: str) -> None:
    """Check that an expression is a condition: the parser takes ``visit`` as well, and the butler then trips over it.

    Parameters
    ----------
    butler
        The repository.
    data_query
        The expression.

    Raises
    ------
    UsageError
        If it is none.
    """
    with butler.query() as query:
        try:
            query.where(data_query)
        except AssertionError as error:
            raise UsageError(
                f"--data-query: {data_query!r} is no condition; one is \"visit = 1 AND instrument = 'HSC'\"."
            ) from error
        except InvalidQueryError:
            pass  # who builds the graph knows datasets too, and more of what may be wrong
