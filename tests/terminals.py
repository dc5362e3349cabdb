"""Run commands on a terminal, and read what it shows."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence

import pytest

from conftest import environment  # isort: skip

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def lines_of(shown: str) -> list[str]:
    """Return what a terminal was told to show, as lines without escapes."""
    return [line.rstrip() for line in _ESCAPES.sub("", shown).replace("\r", "\n").split("\n") if line.strip()]


def screen_of(shown: str) -> list[str]:
    """Return the lines that a terminal shows in the end: what was written over or erased is gone."""
    lines, row, column = [""], 0, 0
    for escape, text in re.findall(r"(\x1b\[[0-9;?]*[a-zA-Z]|[\r\n])|([^\x1b\r\n]+)", shown):
        match escape:
            case "":
                lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
                column += len(text)
            case "\r":
                column = 0
            case "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            case _ if escape.endswith("A"):
                row = max(0, row - int(escape[2:-1] or 1))
            case "\x1b[2K":
                lines[row] = ""
    return [line.rstrip() for line in lines if line.strip()]


class Terminal:
    """A command on a terminal of its own.

    Parameters
    ----------
    *arguments
        Those of ``pipetask``, or of what ``program`` names.
    width
        Columns of the terminal.
    program
        Arguments of the Python interpreter.
    variables
        More of the environment.
    """

    def __init__(
        self,
        *arguments: str,
        width: int = 200,
        program: Sequence[str] = ("-m", "pipetask.cli"),
        variables: Mapping[str, str] | None = None,
    ):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(), "COLUMNS": str(width), "TERM": "xterm-256color", **(variables or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def type(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())

    def resize(self, width: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def read_until(self, text: str | None) -> str:
        """Return what is shown until a text comes, or until the end."""
        shown, deadline = "", time.monotonic() + 100
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # an echoed ^C may cut a character
        while text is None or text not in shown:
            if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.process.kill()
                pytest.fail(f"{text!r} does not come:\n{shown}")
            try:
                data = os.read(self._master, 10_000)
            except OSError:  # a terminal whose other end is closed says so in this way
                data = b""
            if not data and text is None:
                return shown
            assert data, f"{text!r} has not come:\n{shown}"
            shown += decoder.decode(data)
        return shown

    def close(self) -> int:
        os.close(self._master)
        return self.process.wait(100)
