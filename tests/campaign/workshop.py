"""A process that has imported everything, and runs one seed after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from campaign.harness import Result, run_seed
from campaign.scenario import Scenario
from campaign.shim import build_shim

__all__ = ["Workshop"]

TESTS = Path(__file__).parents[1]


PROCESSES: set[int] = set()
"""Workshops of this process; no test leaves them behind, also if one had to begin another."""


class Workshop:
    """A process of this kind, from the outside.

    Parameters
    ----------
    workspace
        Folder for all that is made; other workshops may share it.
    """

    def __init__(self, workspace: Path):
        workspace.mkdir(parents=True, exist_ok=True)
        self._workspace = workspace
        self._process: subprocess.Popen[str] | None = self._start()

    def run(self, seed: int) -> Result:
        """Run a seed."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(seed, file=process.stdin, flush=True)
            line = process.stdout.readline()
        except BaseException:  # its answer must not be taken for that to another seed
            self.close()
            raise
        if not line:
            self.close()
            raise RuntimeError(f"the workshop has ended in seed {seed}")
        return Result(**json.loads(line))

    def _start(self) -> subprocess.Popen[str]:
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH", ""))))
        library = str(build_shim(self._workspace))
        process = subprocess.Popen(
            [sys.executable, "-m", "campaign.workshop", str(self._workspace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "LD_PRELOAD": library},
            start_new_session=True,
            text=True,
        )
        PROCESSES.add(process.pid)
        return process

    def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(60)
            PROCESSES.discard(process.pid)


def main(workspace: Path) -> None:
    """Run the seeds that come in, a line each, and say what came of them."""
    from campaign.command import adopt_orphans, warm_up

    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm_up()
    for line in sys.stdin:
        print(json.dumps(asdict(_run(int(line), workspace))), file=answers, flush=True)


def _run(seed: int, workspace: Path) -> Result:
    try:
        return run_seed(seed, workspace)
    except Exception:
        result = Result.of(Scenario.of(seed))
        result.complaints.append(f"the campaign itself fails: {traceback.format_exc()}")
        return result


if __name__ == "__main__":
    main(Path(sys.argv[1]))
