"""`pipetask demo`, which is what `make demo` runs."""

from __future__ import annotations

from pathlib import Path

from conftest import run_pipetask  # isort: skip


def test_the_demo_finds_the_variable_star(tmp_path: Path) -> None:
    folder = tmp_path / "my demo"
    done = run_pipetask("demo", str(folder), timeout=280)
    assert done.code == 0, done.err
    assert "It is the simulated one." in done.out
    assert "175 succeeded, 2 no-work" in done.err
    assert (folder / "coadd.png").read_bytes().startswith(b"\x89PNG")
    suggestions = [line.strip() for line in done.out.splitlines() if line.strip().startswith("pipetask run")]
    assert len(suggestions) == 2
    for suggestion in suggestions:
        words = (
            suggestion.replace(f"'{folder}/repo'", "REPO").replace(f"'{folder}/demo.qg'", "GRAPH").split()[1:]
        )
        words = [{"REPO": f"{folder}/repo", "GRAPH": f"{folder}/demo.qg"}.get(word, word) for word in words]
        again = run_pipetask(*words)
        assert again.code == 0, again.err
        assert "177 skipped" in again.err


def test_the_demo_does_not_touch_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = run_pipetask("demo", str(tmp_path))
    assert done.code == 2
    assert str(tmp_path) in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
