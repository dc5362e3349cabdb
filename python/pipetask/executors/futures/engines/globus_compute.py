"""Globus Compute: an endpoint somewhere, reached through a service."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

from ....errors import UsageError
from ..engine import Engine, names_mistake

__all__ = ["GlobusCompute"]


class GlobusCompute(Engine):
    """An endpoint of Globus Compute.

    Parameters
    ----------
    endpoint
        Its ID.
    workers
        How many functions to have in work at the same time.
    """

    reruns = True  # an endpoint may be configured so

    def __init__(self, endpoint: uuid.UUID, workers: int):
        import globus_compute_sdk  # noqa: F401  says at once if it is missing

        self._endpoint = endpoint
        self._workers = workers
        self._executor: Any = None

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for the ID of an endpoint."""
        try:
            endpoint = uuid.UUID(argument or "")
        except ValueError as error:
            raise UsageError(
                "name an endpoint by its ID, as in globus-compute:ID; -j is its size."
            ) from error
        return cls(endpoint, workers)

    @property
    def slots(self) -> int:
        """The number of workers that the user has asked for: blocks of an endpoint come and go."""
        return self._workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called by a worker of the endpoint."""
        if self._executor is None:
            from globus_compute_sdk import Executor

            self._executor = Executor(endpoint_id=self._endpoint, label="pipetask")
        return self._executor.submit(function, *arguments)

    def lost(self, error: Exception) -> bool:
        """Return whether a worker or the endpoint was lost; of an exception there, only its traceback comes back."""
        traceback = getattr(error, "remote_data", None)
        if not isinstance(traceback, str):
            return super().lost(error)
        return not names_mistake(traceback.strip().rpartition("\n")[2].partition(":")[0].strip())

    def renew(self) -> None:
        """Connect to the service again."""
        self.close()

    def close(self) -> None:
        """Disconnect; the endpoint goes on."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
