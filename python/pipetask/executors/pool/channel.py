"""Start a Python that has one end of a socket, also where it cannot inherit that: in a container."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from .interpreter import Interpreter

__all__ = ["start_with_channel"]

LOOK = 0.1
"""Seconds between two looks at whether a process that has not connected still lives."""

_NAME = "socket"

_CONNECT = """
import socket
try:
    folder = os.open({folder!r}, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as visit:
        visit.connect(f'/proc/self/fd/{{folder}}/{name}')
        (channel,) = socket.recv_fds(visit, 1, 1)[1]
    os.close(folder)
except (OSError, ValueError) as error:
    sys.exit({message!r} + f' ({{error}})')
"""


def start_with_channel(
    interpreter: Interpreter, code: str, **options: Any
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process; return it, and our end of the socket.

    Parameters
    ----------
    interpreter
        How it is started.
    code
        What it runs.  It finds the descriptor of its end in the variable ``channel``.
    **options
        Other arguments of `subprocess.Popen`.
    """
    ours, theirs = socket.socketpair()
    try:
        start = _start_heir if interpreter.inherits else _start_visitor
        return start(interpreter, code, theirs, options), ours
    except BaseException:
        ours.close()
        theirs.close()
        raise


def _start_heir(
    interpreter: Interpreter, code: str, theirs: socket.socket, options: dict[str, Any]
) -> subprocess.Popen[bytes]:
    number = theirs.fileno()
    with theirs:
        return subprocess.Popen(
            interpreter.command(f"channel = {number}\n{code}"), pass_fds=[number], **options
        )


def _start_visitor(
    interpreter: Interpreter, code: str, theirs: socket.socket, options: dict[str, Any]
) -> subprocess.Popen[bytes]:
    """Start a process that connects to a socket in a folder, and is handed its own there."""
    folder = tempfile.mkdtemp(prefix="pipetask-start-")
    message = (
        f"the folder for temporary files, {tempfile.gettempdir()}, is not seen there: "
        "let the container see it under the same name"
    )
    listener = socket.socket(socket.AF_UNIX)
    try:
        # The path itself may be too long for a socket.
        with _opened(folder) as number:
            listener.bind(f"/proc/self/fd/{number}/{_NAME}")
        listener.listen(1)
        connect = _CONNECT.format(folder=folder, name=_NAME, message=message)
        process = subprocess.Popen(interpreter.command(f"{connect}\n{code}"), **options)
    except BaseException:
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # A container may take long to start, which only those have to wait for who need an answer.
    threading.Thread(
        target=_hand_over, args=(process, listener, folder, theirs), daemon=True, name="pipetask-handover"
    ).start()
    return process


def _hand_over(
    process: subprocess.Popen[bytes], listener: socket.socket, folder: str, theirs: socket.socket
) -> None:
    """Wait for the process, and hand it its end.  Otherwise close that, so that our end tells of it."""
    with theirs, listener:
        poll = select.poll()
        poll.register(listener.fileno(), select.POLLIN)
        while not (connects := poll.poll(LOOK * 1000)) and process.poll() is None:
            pass
        with contextlib.suppress(OSError):  # it has died since
            if connects:
                with listener.accept()[0] as visitor:
                    socket.send_fds(visitor, [b"\0"], [theirs.fileno()])
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    number = os.open(folder, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)
