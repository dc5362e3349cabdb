"""Turn errors of graph building into one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lsst.daf.butler import Butler, ButlerUserError, InvalidQueryError
from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.quantum_graph_builder import OutputExistsError, QuantumGraphBuilderError

from ..errors import PipetaskError, UsageError, did_you_mean
from ..repository.definitions import what_differs
from .missing_inputs import unregistered, unregistered_inputs

__all__ = ["refused_query", "said_plainly"]

LONGEST = 300
"""Maximum number of characters that are quoted from a message of another package."""

_UNRECOGNIZED = re.compile(r"Unrecognized (?:identifier|field) '(?P<name>[^']*)'(?: for (?P<element>\w+))?")


@contextmanager
def said_plainly(butler: Butler, pipeline: PipelineGraph, run: str, data_query: str) -> Iterator[None]:
    """Turn exceptions of pipe_base and the butler into errors that say what to do.

    Parameters
    ----------
    butler
        The repository.
    pipeline
        The pipeline, which the builder resolves.
    run
        The output run.
    data_query
        The user's data query.
    """
    try:
        yield
    except PipetaskError:
        raise
    except OutputExistsError as error:
        raise PipetaskError(
            f"Run {run!r} holds outputs of quanta that are not done, such as the log of a failure: add "
            "--clobber-outputs to replace outputs of unsuccessful attempts, or use a new run."
        ) from error
    except (QuantumGraphBuilderError, FileNotFoundError) as error:  # the latter for prerequisites
        raise _incomplete(error, butler, pipeline) from error
    except InvalidQueryError as error:
        raise refused_query(error, butler, data_query) from error
    except ButlerUserError as error:
        raise PipetaskError(f"The graph cannot be built: {_shortened(error)}.") from error
    except Exception as error:
        raise PipetaskError(
            f"The graph cannot be built ({type(error).__name__}: {_shortened(error)}): --log-level DEBUG shows where."
        ) from error


def _incomplete(error: Exception, butler: Butler, pipeline: PipelineGraph) -> PipetaskError:
    if missing := unregistered_inputs(butler, pipeline):
        reason = unregistered(butler, pipeline, missing[0])
    else:
        reason = _shortened(error)
    return PipetaskError(f"The graph cannot be built: {reason}{'' if reason.endswith('?') else '.'}")


def refused_query(error: Exception, butler: Butler, data_query: str) -> UsageError:
    """Return an error about a data query that the butler cannot parse.

    Parameters
    ----------
    error
        The exception that the butler has raised.
    butler
        The repository, for the names that can be used.
    data_query
        The query.
    """
    # For a syntax error, the cause says more.
    reason = f"{_shortened(error)}: {_shortened(error.__cause__)}" if error.__cause__ else _shortened(error)
    found = _UNRECOGNIZED.match(reason)
    ending = did_you_mean(found["name"], _names(butler, found["element"]), "") if found else "."
    option = "--data-query" if data_query else "The query for data IDs is refused"
    return UsageError(f"{option}: {reason}{ending}")


def _names(butler: Butler, element: str | None) -> list[str]:
    """Return names that can be used in a query: columns of a dimension, or dimensions."""
    universe = butler.dimensions
    if element in universe.elements.names:
        return list(universe[element].schema.names)
    return list(universe.elements.names)


def _shortened(error: BaseException) -> str:
    text = what_differs(error)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
