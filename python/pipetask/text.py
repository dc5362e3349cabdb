"""Text for a terminal: what comes from outside is shown, and never obeyed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

__all__ = ["cut", "quoted", "shell_command", "visible", "without_password"]


def visible(text: str) -> str:
    r"""Return a text with its control characters as escapes, such as ``\x1b`` or ``\n``."""
    return text if text.isprintable() else "".join(map(_visible, text))


def cut(text: str, longest: int) -> str:
    """Return a text as it is, or its beginning with a mark if it has more characters than that."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def quoted(text: str) -> str:
    """Return a name or a path as it is, or in quotes if it has control characters."""
    return text if text.isprintable() else repr(text)


def shell_command(words: Iterable[str]) -> str:
    r"""Return words as a command line that can be copied into a shell; control characters are written ``$'\n'``."""
    return " ".join(shlex.quote(word) if word.isprintable() else _ansi_c(word) for word in words)


def without_password(text: str) -> str:
    """Return a text in which the passwords of addresses, such as ``amqp://user:password@host``, are stars."""
    return re.sub(r"(?<=://)([^:/@\s]*):[^/\s]+@", r"\1:***@", text)


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def _ansi_c(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(map(_for_shell, escaped))}'"


def _for_shell(character: str) -> str:
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
