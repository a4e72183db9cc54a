"""`gsr-rl eval` on benchmarks, from the command line to files, against servers on real sockets."""

import json
from collections import Counter
from pathlib import Path

import pytest
from adder import N, adder, at, command, episodes, evaluation, is_refinement, jsonl, sums
from scripted_server import ScriptedServer

from gsr_rl.cli import main
from gsr_rl.metrics.all_metrics import evaluate


def test_a_model_at_a_url(tmp_path: Path, exam: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "run"
    with ScriptedServer(adder) as server:
        arguments = command(run_dir, exam, *at(server), f"eval.tokenizer={model}", "gsr.validation.m=2")
        assert main(arguments) == 0
        # for each problem 4 candidates, an extra one and 2 refinements; for three 2 refinements of another's candidates
        assert server.seen == N * 7 + 3 * 2
        rows = episodes(run_dir)
        capsys.readouterr()
        assert main(arguments) == 0
        assert server.seen == N * 7 + 3 * 2
        assert episodes(run_dir) == rows
    out = capsys.readouterr().out
    assert [(row.id, row.dataset, row.problem, row.gold) for row in rows] == [
        (problem["id"], "sums", problem["problem"], problem["answer"]) for problem in sums()
    ]
    for row in rows:
        right = int(row.gold)
        assert [len(part) for part in (row.candidates, row.extra_candidates, row.refinements)] == [4, 1, 2]
        for candidate in (*row.candidates, *row.extra_candidates):
            seed = int(candidate.text.split()[1].strip("."))
            assert (candidate.answer, candidate.correct) == (str(right + seed % 2), seed % 2 == 0)
        assert {refinement.correct for refinement in row.refinements} == {right != 1}
        assert (row.model, row.refiner) == ("toy", "toy")
    assert [len(row.swapped_refinements) for row in rows] == [2, 2, 2, 0, 0, 0]
    figures = json.loads((run_dir / "episodes" / "toy.metrics.json").read_text())
    assert figures == json.loads(json.dumps(evaluate(rows)))
    assert figures["sums"]["selfref@4"] == pytest.approx(5 / 6)
    assert f"toy gets chat messages; {server.url} applies its chat template" in out
    assert f"episodes in {run_dir.resolve()}/episodes/toy.jsonl" in out
    table = out.splitlines()[-3:]
    assert table[0].split()[:6] == ["K", "n", "pass@1", "pass@K", "maj@K", "maj@K+1"]
    assert table[1].split()[:3] == ["sums", "4", "6"] and "83.3" in table[1].split()
    assert "6 problems with their repeats, 6 of them are done already" in out


def test_several_benchmarks_and_repeats(tmp_path: Path, exam: Path) -> None:
    other = jsonl(tmp_path / "late.jsonl", sums(9)[6:])
    with ScriptedServer(adder) as server:
        overrides = ["eval.repeats=3", "eval.pool=6", "eval.name=mine"]
        evaluation(tmp_path / "run", f"{exam},{other}", *at(server), *overrides)
        controls = 3 + 3  # in the first of the repeats
        assert server.seen == (N + 3) * 3 * 7 + controls
    rows = episodes(tmp_path / "run", "mine")
    assert Counter((row.dataset, row.id) for row in rows) == {
        **{("sums", f"s{i}"): 3 for i in range(6)},
        **{("late", f"s{i}"): 3 for i in range(6, 9)},
    }
    assert len({candidate.text for row in rows for candidate in row.candidates}) == len(rows) * 4
    # The control is among the first problems of each benchmark.
    controlled = Counter((row.dataset, row.id) for row in rows if row.swapped_refinements)
    assert controlled == {("sums", f"s{i}"): 1 for i in range(3)} | {("late", f"s{i}"): 1 for i in range(6, 9)}
    figures = json.loads((tmp_path / "run" / "episodes" / "mine.metrics.json").read_text())
    assert (figures["sums"]["n"], figures["late"]["n"], figures["macro"]["sets"]) == (6, 3, 27)
    assert list(figures["sums"]["by_k"]) == ["1", "2", "3", "4", "5", "6"]


def test_a_sweep_has_files_for_each_k(tmp_path: Path, exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(adder) as server:
        evaluation(tmp_path / "run", exam, *at(server), "eval.sweep=[2,3,5]", "eval.swapped=0")
        assert server.seen == N * (6 + 3)
    for k in (2, 3, 5):
        rows = episodes(tmp_path / "run", f"toy-k{k}")
        assert {(len(row.candidates), len(row.extra_candidates)) for row in rows} == {(k, 6 - k)}
        assert json.loads((tmp_path / "run" / "episodes" / f"toy-k{k}.metrics.json").read_text())["sums"]["k"] == k
    lines = capsys.readouterr().out.splitlines()[-6:]
    assert [line.split()[:2] for line in lines[:3]] == [["sums", "2"], ["sums", "3"], ["sums", "5"]]


def test_rounds(tmp_path: Path, exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recursion = ["eval.population=5", "eval.rounds=2", "gsr.k=3"]
    with ScriptedServer(adder) as server:
        evaluation(tmp_path / "run", exam, *at(server), *recursion)
        assert server.seen == N * (5 + 2 * 5)
    rows = episodes(tmp_path / "run")
    assert Counter(row.round for row in rows) == {1: N * 5, 2: N * 5}
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line[:14].strip() for line in lines] == [
        "sums, round 1",
        "sums, round 2",
        "macro, round 1",
        "macro, round 2",
    ]


def test_cross_refinement_and_scores(tmp_path: Path, exam: Path) -> None:
    with (
        ScriptedServer(adder, ("a",)) as first,
        ScriptedServer(adder, ("b/large",)) as second,
        ScriptedServer(adder, ("judge",)) as third,
    ):
        refiner = [f"eval.refiner.urls=[{second.url}]", "eval.refiner.model=b/large"]
        scorer = [f"eval.reward_model.urls=[{third.url}]", "eval.reward_model.model=judge"]
        evaluation(tmp_path / "run", exam, *at(first, "a"), *refiner, *scorer, "eval.swapped=0")
        assert (first.seen, second.seen, third.seen) == (N * 5, N, N * 5)
        assert {is_refinement(body) for body in first.bodies} == {False}
        assert {is_refinement(body) for body in second.bodies} == {True}
        body = third.bodies[0]
        assert (body["model"], body["use_activation"], len(body["messages"])) == ("judge", False, 2)
        # The candidates are those of the model's own evaluation.
        evaluation(tmp_path / "run", exam, *at(first, "a"), "eval.swapped=0")
        assert first.seen == N * 6
    rows = episodes(tmp_path / "run", "a-by-large")
    assert {(row.model, row.refiner) for row in rows} == {("a", "b/large")}
    for row in rows:
        for candidate in (*row.candidates, *row.extra_candidates):
            assert candidate.score == float(candidate.correct)
    figures = json.loads((tmp_path / "run" / "episodes" / "a-by-large.metrics.json").read_text())
    assert figures["sums"]["bon@4"] == figures["sums"]["pass@4"]
    assert [row.candidates[0].score for row in episodes(tmp_path / "run", "a")] == [None] * N
