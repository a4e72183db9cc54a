"""`make bench`: what it refuses, what it keeps, and how it goes on."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {bench!r})
from figures import figure
Path({log!r}).open("a").write(sys.argv[1] + " ")
figure("speed", float(sys.argv[1]), "times")
sys.exit(int(sys.argv[1]) == 13)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("bench_run", BENCH / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_run", module)  # where its dataclass looks for its module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def log(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Three benches that each give the number of their argument; the third fails."""
    log, script = tmp_path / "log", tmp_path / "script.py"
    script.write_text(SCRIPT.format(bench=str(BENCH), log=str(log)))
    numbers = {"two": "2", "three": "3", "bad": "13"}
    made = {name: run.Bench((str(script), number), 0.001, name) for name, number in numbers.items()}
    monkeypatch.setattr(run, "benches", lambda: made)
    return log


def start(run: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    return run.main()


def test_every_bench_s_script_is_there(run: Any) -> None:
    assert all((BENCH / bench.arguments[0]).is_file() for bench in run.benches().values())


def test_figures_are_kept_and_a_bench_that_has_some_is_not_run_again(
    run: Any, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert start(run, monkeypatch, "--results", str(results)) == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith("bench: ")
    (path,) = results.glob("*.json")
    figures = {"two": [2.0], "three": [3.0]}
    assert {name: [row["value"] for row in rows] for name, rows in json.loads(path.read_text())["figures"].items()} == (
        figures
    )
    assert "| three | speed | 3 times |" in path.with_suffix(".md").read_text()
    assert start(run, monkeypatch, "--results", str(results)) == 2
    assert log.read_text().split() == ["2", "3", "13", "13"]


def test_a_bench_for_which_memory_is_too_small_is_refused_before_the_first(
    run: Any, log: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = run.benches() | {"large": run.Bench(("absent.py",), 1e6, "too large")}
    monkeypatch.setattr(run, "benches", lambda: made)
    assert start(run, monkeypatch) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("bench: large: needs 1e+06 GiB of memory") and line.endswith("leave it out with --only")
    assert not log.exists()
