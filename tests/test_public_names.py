"""What a program imports from ``pipetask``: complete, listed, typed, and cheap until it is used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pipetask

from conftest import environment  # isort: skip

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "doc/reference/api.md"


def python(code: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)


def test_every_name_can_be_imported() -> None:
    assert len(pipetask.__all__) > 50
    for name in pipetask.__all__:
        value = getattr(pipetask, name)
        assert value.__name__ == name
        assert value.__doc__


def test_the_reference_page_lists_them() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| \[\w+\]\((\w+\.md)\) \|$", PAGE.read_text(), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(pipetask.__all__)
    for name, _, page in rows:
        described = (PAGE.parent / page).read_text()
        assert f"automodule:: {getattr(pipetask, name).__module__}\n" in described, f"{name} is not on {page}"


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import pipetask; print(*set(sys.modules) - before)"
    imported = set(python(code).stdout.split())
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} == {
        "pipetask"
    }


def test_options_and_models_do_not_import_lsst() -> None:
    names = "InProcessExecutor, MultiprocessExecutor, OutputOptions, QuantumExecutor, RunOptions, Status"
    code = f"import sys; from pipetask import {names}; print('lsst' in sys.modules, len(sys.modules))"
    slow, number = python(code).stdout.split()
    assert slow == "False"
    assert int(number) > 50, "they were imported"


def test_an_interrupt_waits_until_a_name_is_imported() -> None:
    code = """
import os, signal, sys, pipetask

class Interrupts:
    def find_spec(self, name, path, target=None):
        if name == "pipetask.graph.structure":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
try:
    from pipetask import EnumeratedGraph
except KeyboardInterrupt:
    print("interrupted", "EnumeratedGraph" in vars(pipetask))
"""
    assert python(code).stdout.split() == ["interrupted", "True"]


def test_completion_offers_all_names() -> None:
    code = """
import rlcompleter, pipetask
completer = rlcompleter.Completer({"pipetask": pipetask})
print(completer.complete("pipetask.Multi", 0), set(pipetask.__all__) <= set(dir(pipetask)))
"""
    assert python(code).stdout.split() == ["pipetask.MultiprocessExecutor(", "True"]


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ImportError, match="cannot import name 'nonsense' from 'pipetask'"):
        from pipetask import nonsense  # type: ignore[attr-defined]  # noqa: F401
    with pytest.raises(AttributeError, match="module 'pipetask' has no attribute 'nonsense'"):
        pipetask.nonsense  # type: ignore[attr-defined]  # noqa: B018
