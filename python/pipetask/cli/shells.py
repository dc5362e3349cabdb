"""Answer a shell that asks for completions."""

from __future__ import annotations

import os
import re
import threading

from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

__all__ = ["ASKED", "TIME_LIMIT", "prepare_to_answer"]

ASKED = "_PIPETASK_COMPLETE"
"""Environment variable that says that a shell asks."""

TIME_LIMIT = "PIPETASK_COMPLETE_SECONDS"
"""Environment variable with the seconds after which nothing is offered; a repository may not answer at all."""

_SECONDS = 5.0

_BREAKS = "=:"
"""Characters at which bash breaks words, beside blanks."""


def prepare_to_answer() -> None:
    """Prepare this process to answer, and to end in time."""
    add_completion_class(_Bash)
    timer = threading.Timer(float(os.environ.get(TIME_LIMIT, _SECONDS)), os._exit, (0,))
    timer.daemon = True
    timer.start()


class _Bash(BashComplete):
    """Completion for bash, which takes ``lsst=DEBUG`` for three words, and replaces the last of them."""

    _kept = ""
    """What of the last value comes before the word that bash replaces."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words, and the incomplete one."""
        shell_words = split_arg_string(os.environ["COMP_WORDS"])[1 : int(os.environ["COMP_CWORD"]) + 1]
        if len(shell_words) < int(os.environ["COMP_CWORD"]):  # the last one is empty
            shell_words.append("")
        words: list[str] = []
        joined = False
        for word in shell_words:
            breaks = bool(word) and not word.strip(_BREAKS)
            if words and (breaks or joined):
                words[-1] += word
            else:
                words.append(word)
            joined = breaks
        *complete, incomplete = words or [""]
        value = incomplete.partition("=")[2] if incomplete.startswith("--") else incomplete
        self._kept = value.removesuffix(re.split(f"[{_BREAKS}]", value)[-1])
        return complete, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return a line for the shell."""
        return f"{item.type},{item.value.removeprefix(self._kept)}"
