"""A Debian 13 with HTCondor in a folder, made once on a machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["GID", "UID", "PoolError", "find_root"]

UID = GID = 20000
"""The ordinary user of the pool, whose name inside is ``observer``."""

RECIPE = Path(__file__).with_name("build_root.sh")


class PoolError(Exception):
    """Raised when there can be no pool on this machine; the message says why."""


def find_root() -> Path:
    """Return the folder that holds Debian with HTCondor; make it where there is none.

    Returns
    -------
    root : `~pathlib.Path`
        In the folder that the environment variable ``PIPETASK_CONDOR_ROOT`` names, by default
        ``pipetask/condor-root`` in the user's cache. It is named after the recipe, so another recipe makes another.

    Raises
    ------
    PoolError
        Raised if it cannot be made.
    """
    cache = _cache()
    root = cache / hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of this test run, other test runs
        if not root.exists():
            _build(root)
    return root


def _cache() -> Path:
    if named := os.environ.get("PIPETASK_CONDOR_ROOT"):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipetask" / "condor-root"


def _build(root: Path) -> None:
    scratch = root.with_name("unfinished")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    log = root.with_name("build.log")
    # When this process dies, so does unshare; then PID 1 of the new namespace, and with it everything in there.
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    try:
        with log.open("wb") as out:
            subprocess.run(
                [*command, "sh", str(RECIPE), str(scratch), str(UID), str(GID)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=True,
            )
        (scratch / "root").rename(root)
    except (OSError, subprocess.CalledProcessError) as error:
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        raise PoolError(f"cannot install Debian's HTCondor: {last or error} (see {log})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
