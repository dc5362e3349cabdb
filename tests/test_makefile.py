"""What ``make`` says while it makes an environment, with stand-ins for Python and pip: nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"

PYTHON = """#!/bin/sh
case "$1" in
-c) exec {python} -c 'import sys; sys.version_info = ({version}, 9, "final", 0); exec(sys.argv[1])' "$2" ;;
--version) echo Python {version} ;;
-m) mkdir -p "$4/bin" && cp pip "$4/bin/pip" ;;
esac
"""
PIP = """#!/bin/sh
echo "Collecting click>=8.1"
echo "  Downloading click-8.1.7-py3-none-any.whl.metadata (3.0 kB)"
echo "  Downloading click-8.1.7-py3-none-any.whl (500 kB)"
echo "  Using cached numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl (13.6 MB)"
exit {code}
"""


def make(folder: Path, version: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Make an environment with a Python that says that it has some version, and a pip that ends with some code."""
    for name, content in {"python": PYTHON, "pip": PIP}.items():
        path = folder / name
        path.write_text(content.format(python=sys.executable, version=version, code=code))
        path.chmod(0o755)
    for name in ("setup.cfg", "pyproject.toml"):
        (folder / name).touch()
    words = ["make", "-f", str(MAKEFILE), f"PYTHON={folder}/python", ".venv/.installed"]
    # The tests may run below another make, which exports its flags and the variables of its command line.
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.mark.parametrize("version", ["2, 7", "3, 9", "3, 10"])
def test_an_old_python_is_refused_at_once(tmp_path: Path, version: str) -> None:
    done = make(tmp_path, version)
    assert done.returncode != 0
    first, *_ = done.stderr.splitlines()
    assert first.startswith("pipetask needs Python 3.11 or newer, and ")
    assert f"is {version.replace(', ', '.')}: " in first
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_what_is_installed_is_shown(tmp_path: Path) -> None:
    done = make(tmp_path, "3, 12")
    assert done.returncode == 0, done.stderr
    creating, installing, *files, total = done.stdout.splitlines()
    assert creating.startswith("Creating a virtual environment in .venv with Python 3")
    assert "about 200 MB" in installing
    assert [line.split()[0] for line in files] == ["Downloading", "Using"]
    assert total == "2 files, 14 MB"
    assert (tmp_path / ".venv/.installed").exists()


def test_an_installation_that_fails_is_made_again(tmp_path: Path) -> None:
    assert make(tmp_path, "3, 12", code=1).returncode != 0
    assert not (tmp_path / ".venv/.installed").exists()
