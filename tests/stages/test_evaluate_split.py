"""`gsr-rl eval` on the run's own problems, by the engine in the stage's process, for which a stand-in answers."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from adder import N, ScriptedEngine, adder, command, episodes, evaluation, jsonl, sums
from scripted_server import Body

from gsr_rl.cli import main
from gsr_rl.errors import UsageError
from gsr_rl.generation import roles
from gsr_rl.metrics.all_metrics import evaluate


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    """A stand-in for vLLM's engine."""
    engine = ScriptedEngine()
    monkeypatch.setattr(roles, "Engine", engine)
    return engine


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run folder with problems."""
    for split, problems in {"held_out": sums(), "dev": sums(N + 2)[N:]}.items():
        jsonl(tmp_path / "run" / "data" / f"{split}.jsonl", [{**row, "dataset": "sums"} for row in problems])
    return tmp_path / "run"


def figures_in(run_dir: Path, name: str) -> dict[str, Any]:
    return json.loads((run_dir / "episodes" / f"{name}.metrics.json").read_text())


def test_interrupted_and_started_again_it_asks_for_what_is_missing(
    run_dir: Path, model: Path, engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    answers, done = N * 6 + 3, N * 5 + 4  # all candidates, and some refinements

    def interrupted(body: Body) -> Any:
        if len(engine.requests) > done:
            raise KeyboardInterrupt
        return adder(body)

    engine.handler = interrupted
    arguments = command(run_dir, None, f"model={model}", "eval.name=mine")
    assert main(arguments) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "gsr-rl: interrupted; the same command resumes"
    assert not (run_dir / "episodes").exists()
    first = len(engine.requests)
    assert first == done + 1

    engine.handler = adder
    assert main(arguments) == 0
    out = capsys.readouterr().out
    # Only the batch that was interrupted is asked for twice.
    times = Counter(request.key for request in engine.requests)
    assert len(times) == answers and len(engine.requests) <= answers + engine.batch
    assert set(times.values()) <= {1, 2} and {request.kind for request in engine.requests[first:]} == {
        "refinement 0",
        "swapped 0",
    }
    assert re.search(rf"{N} problems with their repeats, [0-4] of them are done already", out)

    rows = episodes(run_dir, "mine")
    assert [(row.id, row.dataset) for row in rows] == [(f"s{i}", "sums") for i in range(N)]
    assert [len(row.swapped_refinements) for row in rows] == [1, 1, 1, 0, 0, 0]
    assert {(len(row.candidates), len(row.extra_candidates), len(row.refinements)) for row in rows} == {(4, 1, 1)}
    assert figures_in(run_dir, "mine") == json.loads(json.dumps(evaluate(rows)))
    saved = yaml.safe_load((run_dir / "episodes" / "mine.config.yaml").read_text())
    assert (saved["eval"]["name"], saved["eval"]["model"]) == ("mine", str(model))
    assert saved["data"]["train_files"] == f"{run_dir}/data/train.parquet"  # resolved
    table = out.splitlines()[-3:]
    assert table[0].split()[:6] == ["K", "n", "pass@1", "pass@K", "maj@K", "maj@K+1"]
    assert [line.split()[:3] for line in table[1:]] == [["sums", "4", "6"], ["macro", "4", "6"]]

    assert [folder for folder, _ in engine.models] == [str(model)] * 2
    evaluation(run_dir, None, f"model={model}", "eval.name=mine")
    assert len(engine.models) == 2  # nothing is missing, so no engine is loaded
    assert episodes(run_dir, "mine") == rows


def test_repeats_and_a_pool(run_dir: Path, model: Path, engine: ScriptedEngine) -> None:
    evaluation(run_dir, None, f"model={model}", "eval.name=mine", "eval.repeats=3", "eval.pool=6")
    assert len(engine.requests) == N * 3 * 7 + 3
    rows = episodes(run_dir, "mine")
    assert Counter(row.id for row in rows) == {f"s{i}": 3 for i in range(N)}
    assert {(len(row.candidates), len(row.extra_candidates)) for row in rows} == {(4, 2)}
    assert len({candidate.text for row in rows for candidate in row.candidates}) == len(rows) * 4
    assert (figures_in(run_dir, "mine")["sums"]["n"], figures_in(run_dir, "mine")["macro"]["sets"]) == (6, 18)


def test_a_sweep(run_dir: Path, model: Path, engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation(run_dir, None, f"model={model}", "eval.sweep=[2,3,5]", "eval.swapped=0")
    assert len(engine.requests) == N * (6 + 3)
    name = f"{model.parent.name}-tiny"  # without eval.name
    for k in (2, 3, 5):
        assert {len(row.candidates) for row in episodes(run_dir, f"{name}-k{k}")} == {k}
        assert figures_in(run_dir, f"{name}-k{k}")["sums"]["k"] == k
    lines = capsys.readouterr().out.splitlines()[-6:]
    assert [line.split()[:2] for line in lines[:3]] == [["sums", "2"], ["sums", "3"], ["sums", "5"]]


def test_another_split_and_an_answer_that_was_given_before(run_dir: Path, model: Path, engine: ScriptedEngine) -> None:
    evaluation(run_dir, None, f"model={model}", "eval.name=tuning", "eval.split=dev", "eval.swapped=0")
    assert [row.id for row in episodes(run_dir, "tuning")] == ["s6", "s7"]
    assert len(engine.requests) == 2 * 6
    # A benchmark of the same problems gets the same answers, from the same journal.
    benchmark = jsonl(run_dir.parent / "sums.jsonl", sums(N + 2)[N:])
    evaluation(run_dir, benchmark, f"model={model}", "eval.name=exam", "eval.swapped=0")
    assert episodes(run_dir, "exam") == episodes(run_dir, "tuning")
    assert len(engine.requests) == 2 * 6


def test_without_problems(tmp_path: Path, model: Path, engine: ScriptedEngine) -> None:
    with pytest.raises(UsageError, match=r"data/held_out.jsonl: no such file") as raised:
        evaluation(tmp_path / "run", None, f"model={model}")
    assert "\n" not in str(raised.value) and engine.models == []
    assert not (tmp_path / "run").exists()
