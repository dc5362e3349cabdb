"""Start a process as those are started that run quanta, and let it look around."""

from __future__ import annotations

import contextlib
import os
import pickle
import shlex
import signal
import socket
import subprocess
import tempfile
from dataclasses import replace
from typing import IO

from ...errors import PipetaskError, reason_of
from ..pool.channel import start_with_channel
from .code_package import UnpackedCode
from .environment import Environment
from .inquiry import Facts, Inquiry
from .packages import Package

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
    environment = inquiry.environment
    variables = environment.variables_over(inquiry.variables)
    process, ours = start_with_channel(
        environment.interpreter(inquiry.code_folders, variables),
        _PROGRAM,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **variables},
        start_new_session=True,
    )
    with ours:
        try:
            return _asked(process, ours, inquiry, output)
        finally:
            _end(process)


def _asked(
    process: subprocess.Popen[bytes], channel: socket.socket, inquiry: Inquiry, output: IO[bytes]
) -> Facts:
    """Ask a process; if it does not answer, its last words are the reason."""
    channel.settimeout(PATIENCE)
    versions = ""
    try:
        with channel.makefile("rb") as answers:
            versions = answers.readline().decode().strip()
            channel.sendall(pickle.dumps(inquiry))
            facts: Facts = pickle.load(answers)
            return facts
    except TimeoutError:
        return _no_worker(f"it has not answered in {PATIENCE:.0f} s", versions)
    except (OSError, EOFError, pickle.UnpicklingError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        silent = f"it ended with code {process.returncode}{_settings(inquiry.environment)}"
        return _no_worker(_last_line(output) or silent, versions)


_PROGRAM = """
from importlib.metadata import distributions
versions = ['%d.%d' % sys.version_info[:2], *(each.version for each in distributions(name='pipetask'))]
os.write(channel, ' '.join(versions).encode() + b'\\n')
from pipetask.executors.futures.probe import answer
answer(channel)
"""


def _no_worker(reason: str, versions: str = "") -> Facts:
    """Return why there is no process, with what it may have told before: versions of Python and pipetask."""
    python, *ours = versions.split() or [""]
    packages = {"pipetask": Package(installed=ours[0])} if ours else {}
    return Facts(
        socket.gethostname(), python, packages, {}, sees_folder=False, runner_error=None, no_worker=reason
    )


def _settings(environment: Environment) -> str:
    """Return the settings of which one is wrong if the process says nothing."""
    words = {
        "container": shlex.join(environment.container),
        "setup": " ".join((environment.setup or "").split()),
        "python": environment.python,
    }
    said = ", ".join(f"{name}: {value}" for name, value in words.items() if value)
    return said and f" ({said})"


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").split("\n")
    return next((line.strip().rstrip(".") for line in reversed(lines) if line.strip()), "")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:  # otherwise its number may be another's by now
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
