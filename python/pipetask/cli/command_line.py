"""A command line as it was typed, from which another is made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import click

from ..text import shell_command

__all__ = ["CommandLine"]


@dataclass(frozen=True)
class CommandLine:
    """What was typed in front of a command and behind it."""

    before: tuple[str, ...]
    name: str
    behind: tuple[str, ...]
    parameters: Sequence[click.Parameter]
    """The command's, which tell how many words belong to an option."""

    def changed(self, without: Collection[str], more: Sequence[str]) -> str:
        """Return the command without some options, and with others.

        Parameters
        ----------
        without
            Names of parameters that are left out.
        more
            Words to add; what is there already is not added again.
        """
        kept = [word for name, words in self._options() if name not in without for word in words]
        return shell_command(
            ["pipetask", *self.before, self.name, *kept, *(w for w in more if w not in kept)]
        )

    def _options(self) -> Iterator[tuple[str | None, list[str]]]:
        """Yield each option with its words; other words, too, with no name."""
        by_flag = {flag: each for each in self.parameters for flag in (*each.opts, *each.secondary_opts)}
        left = list(self.behind)
        while left:
            word = left.pop(0)
            flag, attached = (
                (word.split("=")[0], "=" in word) if word.startswith("--") else (word[:2], len(word) > 2)
            )
            option = by_flag.get(flag)
            words = [word]
            if isinstance(option, click.Option) and not attached and _takes_value(option, left):
                words.append(left.pop(0))
            yield (option.name if option is not None else None), words


def _takes_value(option: click.Option, left: Sequence[str]) -> bool:
    if option.is_flag or option.count or not left:
        return False
    return not (option._flag_needs_value and left[0].startswith("-"))
