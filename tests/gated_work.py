"""Work that goes on until it is let go."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GatedWork:
    """A quantum that runs until a file exists.

    Parameters
    ----------
    gate
        The file.
    """

    gate: Path

    def __call__(self, id: int) -> None:
        deadline = time.monotonic() + 300
        while not self.gate.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
