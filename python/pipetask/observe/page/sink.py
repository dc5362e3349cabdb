"""Write the page at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..facts.run import RunFacts
from ..report import Commands
from ..sink import Sink
from ..summary import RunSummary
from ..whole_file import WholeFile
from .document import page_text
from .subject import Subject

__all__ = ["PageSink"]


class PageSink(Sink):
    """Writes a page that explains the run: the whole file, or nothing.

    Parameters
    ----------
    uri
        Where to write.
    command_line
        The command that ran.
    commands
        Returns commands that run single quanta again.
    slots
        How many quanta can run at the same time, if that is known.
    requested_memory
        Returns the bytes that were asked for a quantum by label, where that is known; called at the end.
    options
        Options that do not have their default, as text by name.
    refresh
        Seconds after which a browser is to load the page again, if it will be replaced.

    Raises
    ------
    UsageError
        If it is already clear that it cannot be written there.
    """

    def __init__(
        self,
        uri: str,
        command_line: Sequence[str],
        commands: Commands,
        slots: int | None = None,
        requested_memory: Callable[[], Mapping[str, float]] = dict,
        options: Mapping[str, str] | None = None,
        *,
        refresh: float | None = None,
    ):
        self._file = WholeFile(uri, "--html")
        self._command_line, self._commands, self._slots = list(command_line), commands, slots
        self._requested_memory, self._options, self._refresh = requested_memory, options, refresh
        self._written = False

    def end(self, summary: RunSummary) -> None:
        """Write the file."""
        with self._file.open() as out:
            subject = Subject(
                summary,
                RunFacts.of(summary, self._slots),
                self._commands(summary),
                self._command_line,
                self._requested_memory(),
                self._options or {},
                refresh=self._refresh if summary.goes_on else None,
            )
            out.write(page_text(subject))
        self._written = True

    def files(self) -> dict[str, str]:
        """Return the path of the page, once it is written."""
        return {"report": str(self._file.place)} if self._written else {}
