"""Check the data query."""

from __future__ import annotations

from lsst.daf.butler import Butler, InvalidQueryError

from ..errors import UsageError

__all__ = ["check_data_query"]


def check_data_query(butler: Butler, data_query: str) -> None:
    """Check that an expression is a condition: the parser accepts ``visit`` as well, which the butler cannot use.

    Parameters
    ----------
    butler
        The repository.
    data_query
        The expression.

    Raises
    ------
    UsageError
        If it is not a condition.
    """
    with butler.query() as query:
        try:
            query.where(data_query)
        except AssertionError as error:
            raise UsageError(
                f"--data-query: {data_query!r} is no condition; one is \"visit = 1 AND instrument = 'HSC'\"."
            ) from error
        except InvalidQueryError:
            pass  # building the graph reports this error with more detail
