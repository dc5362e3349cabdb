"""A folder that this process and an engine's workers can both see."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...outcome import QuantumOutcome
from ..stop import StopLevel

__all__ = ["SharedFolder"]


@dataclass(frozen=True)
class SharedFolder:
    """Outcomes of bundles that are on their way, and whether the run stops.

    An engine may lose a worker together with the answer that it was about to give.  What had ended by then is in a
    file of the bundle, which is removed when the answer arrives.
    """

    path: Path

    @classmethod
    def make(cls, parent: str | Path | None) -> SharedFolder:
        """Make one in another folder, or in the one for temporary files."""
        if parent is not None:
            Path(parent).mkdir(parents=True, exist_ok=True)
        folder = cls(Path(tempfile.mkdtemp(prefix="pipetask-", dir=parent)).absolute())
        folder._sign.touch()
        return folder

    @property
    def _sign(self) -> Path:
        """A file that is there until the run is over."""
        return self.path / "running"

    @contextlib.contextmanager
    def recording(self, bundle: int) -> Iterator[Callable[[QuantumOutcome], None]]:
        """Return a function that appends an outcome to the file of a bundle.

        Each is written in one piece, since an engine may run a bundle twice at once.  A full disk costs the record and
        not the quantum: the answer has the outcome, too.
        """
        with contextlib.ExitStack() as stack:
            file: io.FileIO | None = None
            with contextlib.suppress(OSError):
                file = stack.enter_context(self._bundle(bundle).open("ab", buffering=0))

            def record(outcome: QuantumOutcome) -> None:
                nonlocal file
                if file is None:
                    return
                data = pickle.dumps(outcome.to_wire(), pickle.HIGHEST_PROTOCOL)
                try:
                    complete = file.write(data) == len(data)
                except OSError:
                    complete = False
                if not complete:
                    file = None  # what came behind half an outcome could not be read

            yield record

    def put(self, name: str, data: bytes) -> None:
        """Put a file into the folder, in one piece."""
        draft = self.path / f"{name}.{os.getpid()}"
        draft.write_bytes(data)
        draft.replace(self.path / name)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file in the folder, `None` if it cannot be read."""
        with contextlib.suppress(OSError):
            return (self.path / name).read_bytes()
        return None

    def recorded(self, bundle: int) -> list[QuantumOutcome]:
        """Return the outcomes in the file of a bundle; what was being written when the writer died is left out."""
        with contextlib.suppress(OSError):
            return list(_outcomes(self._bundle(bundle).read_bytes()))
        return []

    def forget(self, bundle: int) -> None:
        """Remove the file of a bundle."""
        with contextlib.suppress(OSError):
            self._bundle(bundle).unlink(missing_ok=True)

    def ask(self, level: StopLevel) -> None:
        """Let workers know that the run stops."""
        draft = self.path / f"stop.{os.getpid()}"
        with contextlib.suppress(OSError):
            draft.write_text(level.name)
            draft.replace(self.path / "stop")

    def level(self) -> StopLevel:
        """Return whether the run stops; without its sign it has ended."""
        try:
            return StopLevel[(self.path / "stop").read_text()]
        except (FileNotFoundError, KeyError):
            return StopLevel.GO_ON if self._sign.exists() else StopLevel.KILL
        except OSError:
            return StopLevel.GO_ON

    def remove(self) -> None:
        """Remove the folder, unless the log of a quantum that was killed is in it."""
        with contextlib.suppress(OSError):
            self._sign.unlink(missing_ok=True)
            (self.path / "stop").unlink(missing_ok=True)
            for left in self.path.glob("worker-*/worker.log"):
                left.unlink(missing_ok=True)
            for folder in self.path.glob("worker-*"):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            for pattern in ("bundle-*.outcomes", "code-*.zip*"):
                for left in self.path.glob(pattern):
                    left.unlink(missing_ok=True)
            self.path.rmdir()

    def _bundle(self, number: int) -> Path:
        return self.path / f"bundle-{number}.outcomes"


def _outcomes(data: bytes) -> Iterator[QuantumOutcome]:
    stream = io.BytesIO(data)
    # The writer may have died in the middle of the last one, and then any of these can happen.
    with contextlib.suppress(EOFError, pickle.UnpicklingError, ValueError, IndexError, KeyError, TypeError):
        while True:
            yield QuantumOutcome.from_wire(pickle.load(stream))
