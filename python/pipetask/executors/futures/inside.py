"""Start a process as those are started that run quanta, and let it look around."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import tempfile
from dataclasses import replace
from typing import IO

from ...errors import PipetaskError, reason_of
from .code_package import UnpackedCode
from .inquiry import Facts, Inquiry

__all__ = ["look_inside"]

PATIENCE = 100.0
"""Seconds that a set-up line, a container and the import of tasks may take together."""


def look_inside(inquiry: Inquiry) -> Facts:
    """Return what a process sees that is started like one for quanta.

    Parameters
    ----------
    inquiry
        What to look at, and how to start the process.
    """
    with contextlib.ExitStack() as stack:
        try:
            folders: tuple[str, ...] = ()
            if (package := inquiry.environment.code) is not None:
                code = UnpackedCode(package, lambda: inquiry.code)
                stack.callback(code.close)
                folders = code.folders
            output = stack.enter_context(tempfile.TemporaryFile())
            return _answer(replace(inquiry, code=None, code_folders=folders), output)
        except (OSError, PipetaskError) as error:
            return _no_worker(reason_of(error))


def _answer(inquiry: Inquiry, output: IO[bytes]) -> Facts:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                inquiry.environment.interpreter(inquiry.code_folders).command(
                    _PROGRAM.format(theirs.fileno())
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **inquiry.environment.variables_over(inquiry.variables)},
                start_new_session=True,
            )
        try:
            return _asked(process, ours, inquiry, output)
        finally:
            _end(process)


def _asked(
    process: subprocess.Popen[bytes], channel: socket.socket, inquiry: Inquiry, output: IO[bytes]
) -> Facts:
    """Ask a process; if it does not answer, its last words are the reason."""
    channel.settimeout(PATIENCE)
    python = ""
    try:
        with channel.makefile("rb") as answers:
            python = answers.readline().decode().strip()
            channel.sendall(pickle.dumps(inquiry))
            facts: Facts = pickle.load(answers)
            return facts
    except TimeoutError:
        return _no_worker(f"it has not answered in {PATIENCE:.0f} s", python)
    except (OSError, EOFError, pickle.UnpicklingError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        return _no_worker(_last_line(output) or f"it ended with code {process.returncode}", python)


_PROGRAM = """
channel = {}
os.write(channel, b'%d.%d\\n' % sys.version_info[:2])
from pipetask.executors.futures.probe import answer
answer(channel)
"""


def _no_worker(reason: str, python: str = "") -> Facts:
    seen = {"Python": python} if python else {}
    return Facts(socket.gethostname(), seen, {}, sees_folder=False, runner_error=None, no_worker=reason)


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").split("\n")
    return next((line.strip().rstrip(".") for line in reversed(lines) if line.strip()), "")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:  # otherwise its number may be another's by now
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
