"""Namespaces in which a Debian of its own sees what the tests see, and from which nothing gets out.

The world is not a child of the tests, so a test that counts its own processes does not count daemons. It ends when the
write end of its life line closes: by `World.end`, or because the process that holds it has died, however it died. Then
PID 1 ends, and the kernel ends all other processes of the world; and mounts that no process sees any more are no more.
None was ever seen outside.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from condor.root import GID, UID, PoolError
from conftest import TESTS
from pipetask.testing.plain_runs import wait_until
from toy_work import lives

__all__ = ["World"]

SCRIPT = Path(__file__).with_suffix(".sh")

NAMESPACES = ["--mount", "--pid", "--net", "--uts", "--ipc"]

AS_USER = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups"]

BEGIN = 'exec 3<&0; setsid "$@" <&3 3<&- >"$0" 2>&1 & echo $!'
"""A shell that starts a command and leaves it alone; the command's standard input is the shell's."""


class World:
    """A Debian in namespaces of its own, in which daemons run.

    Parameters
    ----------
    root
        Folder that becomes ``/``.
    state
        Folder that is at the same path inside as outside. In it is `condor_config` for each machine, and the folder
        ``work``; ``world.log`` is written into it.
    shared
        Whether the execute node sees ``work``.
    seen
        More folders that are at the same path inside as outside.
    """

    def __init__(self, root: Path, state: Path, shared: bool, seen: Sequence[Path]) -> None:
        self._log = state / "world.log"
        script = [SCRIPT, root, state, UID, GID, "yes" if shared else "no", *_to_be_seen(seen)]
        command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "sh", *map(str, script)]
        there, self._lifeline = os.pipe()
        try:
            shell = subprocess.run(
                ["sh", "-c", BEGIN, str(self._log), *command],
                stdin=there,
                stdout=subprocess.PIPE,
                env={"PATH": os.environ["PATH"]},
                check=True,
            )
        finally:
            os.close(there)
        try:
            self._unshare = psutil.Process(int(shell.stdout))
            wait_until(lambda: bool(self._unshare.children()), "there is PID 1")
            (self._init,) = self._unshare.children()
        except (psutil.NoSuchProcess, TimeoutError) as error:
            os.close(self._lifeline)
            raise PoolError(f"cannot make namespaces: {self.last_words() or error}") from error

    def last_words(self) -> str:
        """Return the last line that was printed while it began."""
        return self._log.read_text(errors="replace").strip().rpartition("\n")[2]

    def is_alive(self) -> bool:
        """Tell whether it has not ended."""
        return lives(self._init)

    def inside(self, command: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> list[str]:
        """Return the command that runs another one in this world, as its ordinary user.

        Parameters
        ----------
        command
            The command and its arguments.
        cwd
            Its working directory.
        env
            All of its environment.

        Returns
        -------
        command : `list` [ `str` ]
            Its only child process is the other command.
        """
        enter = ["nsenter", f"--target={self._init.pid}", *NAMESPACES, "--root", "--wd=/", *AS_USER]
        variables = [f"{key}={value}" for key, value in env.items()]
        return [*enter, "env", "--ignore-environment", f"--chdir={cwd}", *variables, *map(str, command)]

    def end(self) -> None:
        """End all that runs in this world, and wait until it has ended."""
        os.close(self._lifeline)
        with suppress(psutil.NoSuchProcess):
            self._init.kill()
        self._init.wait(timeout=120)
        self._unshare.wait(timeout=120)


def _to_be_seen(more: Sequence[Path]) -> list[Path]:
    """Return the folders of the interpreter and of all that it imports, and some more."""
    names = [sys.prefix, sys.base_prefix, str(TESTS.parent), *sys.path, *map(str, more)]
    paths = {path for path in map(Path, map(os.path.abspath, names)) if path.is_dir()}
    paths -= {
        Path("/"),
        Path("/usr"),
        Path("/tmp"),
    }  # the world's own; see `PersonalPool` on a Python in /usr
    return sorted(path for path in paths if not paths & set(path.parents))
