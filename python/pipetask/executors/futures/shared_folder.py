"""A folder that this process and an engine's workers can both see."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...outcome import QuantumOutcome
from ..stop import StopLevel
from .bundle_file import BEAT, BundleFile, BundleTakenError, BundleWriter

__all__ = ["Pulse", "SharedFolder"]

_PREFIX = "pipetask-"
_WIDTH = max(len(level.name) for level in StopLevel)


@dataclass(frozen=True)
class SharedFolder:
    """Outcomes of bundles that are on their way, and whether the run stops.

    An engine may lose a worker together with the answer that it was about to give.  What had ended by then is in a
    file of the bundle (`BundleFile`), which is removed when the answer arrives.
    """

    path: Path

    @classmethod
    def make(cls, parent: str | Path | None) -> SharedFolder:
        """Make one in another folder, or in the one for temporary files."""
        if parent is not None:
            Path(parent).mkdir(parents=True, exist_ok=True)
        folder = cls(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).absolute())
        try:
            folder.sign.write_text(_text(StopLevel.GO_ON))
        except OSError:
            folder.remove()
            raise
        return folder

    @classmethod
    def of_target(cls, parent: Path, target: str) -> list[SharedFolder]:
        """Return this user's folders in another one that belong to runs with the same target.

        Parameters
        ----------
        parent
            The folder with folders.
        target
            What the runs write to, as given to `set_target`.
        """
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(parent.glob(f"{_PREFIX}*")):
                with contextlib.suppress(OSError, ValueError):
                    mine = path.lstat().st_uid == os.getuid() and not path.is_symlink()
                    if mine and (path / "target").read_text(encoding="utf-8") == target:
                        found.append(cls(path.absolute()))
        return found

    @property
    def sign(self) -> Path:
        """A file that is there until the run is over, and that the run touches; it has the level of the stop."""
        return self.path / "running"

    def set_target(self, target: str) -> None:
        """Note what the run writes to, for another run with the same target that comes after its death."""
        with contextlib.suppress(OSError):
            (self.path / "target").write_text(target, encoding="utf-8")

    @contextlib.contextmanager
    def recording(self, bundle: int, quanta: Sequence[bytes] = ()) -> Iterator[BundleWriter]:
        """Return what writes the file of a bundle.

        Parameters
        ----------
        bundle
            Its number.
        quanta
            The UUIDs of its quanta.

        Raises
        ------
        BundleTakenError
            If another process has begun this bundle.
        """
        writer = BundleWriter(self.bundle(bundle), quanta)
        is_over = False
        try:
            # Looked at when the file is there: who forgets a bundle first marks it, and then removes the file.
            if is_over := self._is_over(bundle):
                raise BundleTakenError("the engine has given out again what is over")
            yield writer
        finally:
            writer.close()
            if is_over:
                self.bundle(bundle).unlink(missing_ok=True)

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
        found = BundleFile.read(self.bundle(bundle))
        return [] if found is None else found.outcomes

    def bundle(self, number: int) -> Path:
        """Return the path of the file of a bundle."""
        return self.path / f"bundle-{number}.outcomes"

    def bundles(self) -> list[Path]:
        """Return the files of all bundles that are on their way."""
        return sorted(self.path.glob("bundle-*.outcomes"))

    def runs(self, bundle: int) -> bool:
        """Return whether a bundle is being run, as far as is known here."""
        found = BundleFile.read(self.bundle(bundle))
        if found is None or found.ended:
            return False
        return found.process is None or not found.process.is_known_to_be_dead

    def has_lost_driver(self, bundle: int) -> bool:
        """Return whether what drove a bundle was a process of this machine that has ended.

        Perhaps the bundle had ended before, and only its answer is lost.
        """
        found = BundleFile.read(self.bundle(bundle))
        return found is not None and found.process is not None and found.process.is_known_to_be_dead

    def end_driver(self, bundle: int) -> None:
        """Kill what drives a bundle, if it is another process of this machine: one that is stopped would stay."""
        found = BundleFile.read(self.bundle(bundle))
        process = None if found is None else found.process
        if process is None or not process.is_on_this_machine or process.is_known_to_be_dead:
            return
        if process.pid != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)

    def forget(self, bundle: int) -> None:
        """Remove the file of a bundle; a worker that still runs it ends what it runs, and no other begins it."""
        with contextlib.suppress(OSError):
            over = os.open(self._over, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.pwrite(over, b"x", bundle)
            finally:
                os.close(over)
        with contextlib.suppress(OSError):
            self.bundle(bundle).unlink(missing_ok=True)

    @property
    def _over(self) -> Path:
        """A file that has a byte for each bundle which is over."""
        return self.path / "over"

    def _is_over(self, bundle: int) -> bool:
        with contextlib.suppress(OSError), self._over.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), 1, bundle) == b"x"
        return False

    def ask(self, level: StopLevel) -> None:
        """Let workers know that the run stops."""
        # In place, as other machines may not see a new file for a while, but ask for the content of one that they know.
        with contextlib.suppress(OSError), self.sign.open("r+b", buffering=0) as file:
            file.write(_text(level).encode())

    def level(self) -> StopLevel:
        """Return whether the run stops; without its sign it has ended."""
        try:
            return StopLevel[self.sign.read_text().strip()]
        except FileNotFoundError:
            return StopLevel.KILL
        except (OSError, KeyError):
            return StopLevel.GO_ON

    def beat(self) -> None:
        """Give a sign of life of the run."""
        with contextlib.suppress(OSError):
            os.utime(self.sign)

    def remove(self) -> None:
        """Remove the folder, unless the log of a quantum that was killed is in it."""
        with contextlib.suppress(OSError):
            for name in ("running", "target", "over"):
                (self.path / name).unlink(missing_ok=True)
            for left in self.path.glob("worker-*/worker.log"):
                left.unlink(missing_ok=True)
            for folder in self.path.glob("worker-*"):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            for pattern in ("bundle-*.outcomes", "code-*.zip*"):
                for left in self.path.glob(pattern):
                    left.unlink(missing_ok=True)
            self.path.rmdir()


class Pulse:
    """Gives signs of life of this process as long as a run goes on, from a thread.

    Parameters
    ----------
    folder
        The run's folder.
    """

    def __init__(self, folder: SharedFolder):
        self._over = threading.Event()
        beat: Callable[[], None] = folder.beat

        def go_on() -> None:
            while not self._over.wait(BEAT):
                beat()

        threading.Thread(target=go_on, daemon=True, name="pipetask-pulse").start()

    def stop(self) -> None:
        """Give no more."""
        self._over.set()


def _text(level: StopLevel) -> str:
    return level.name.ljust(_WIDTH)
