"""gsr-rl metrics: the statistics of a file that others could have written, and every way in which it can be wrong."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.cli import main

# K = 4, worked out by hand: the gold is 1/2, and some answers have to be taken from texts and judged
#   p     1/2 0.5 3 -       maj 1      refinements: right, right
#   p     3 3 0.5 7         maj 0      refinements: right, wrong       (a repeat of p)
#   q     3 4 - -           maj 0      refinements: right, wrong       (all wrong)
#   r     0.5 3 - -         maj 1/2    refinements: wrong, wrong
ROWS: list[dict[str, Any]] = [
    {
        "candidates": [
            {"text": r"it is \boxed{\frac12}"},
            {"answer": "0.5", "correct": True},
            {"answer": "3", "text": "?"},
            {"text": "I do not know"},
        ],
        "refinements": [{"answer": "1/2"}, {"answer": "9", "correct": True}],
    },
    {
        "candidates": [{"answer": "3"}, {"answer": "3.0"}, {"answer": "0.5"}, {"answer": "7"}],
        "refinements": [{"answer": "0.5"}, {"answer": "3"}],
    },
    {
        "id": "q",
        "candidates": [{"answer": "3"}, {"answer": 4}, {"answer": None}, {"text": ""}],
        "refinements": [{"answer": "0.5"}, {"answer": "3"}],
    },
    {
        "id": "r",
        "candidates": [{"answer": "0.5"}, {"answer": "3"}, {"text": "?"}, {"answer": None}],
        "refinements": [{"answer": "3"}, {"answer": "3"}],
    },
]
ROWS = [{"id": "p", "dataset": "toy", "problem": "?", "gold": r"\frac{1}{2}", "source": 5, **row} for row in ROWS]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def results(tmp_path: Path, rows: list[dict[str, Any]], *more: str) -> dict[str, Any]:
    out = tmp_path / "deep" / "results.json"
    assert main(["metrics", "--episodes", write(tmp_path / "rows.jsonl", rows), "--json", str(out), *more]) == 0
    assert [path.name for path in out.parent.iterdir()] == ["results.json"]
    return json.loads(out.read_text())


def test_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(tmp_path, ROWS)
    assert list(found) == ["toy", "macro"]
    expected = {
        "n": 3,
        "pass@1": (3 / 8 + 0 + 1 / 4) / 3,
        "pass@4": 2 / 3,
        "maj@4": (1 / 2 + 0 + 1 / 2) / 3,
        "selfref@4": (3 / 4 + 1 / 2 + 0) / 3,
        "refinement_gap": (1 / 4 + 1 / 2 - 1 / 2) / 3,
        "all_wrong_n": 1,
        "all_wrong_recovery": 1 / 2,
        "right_to_wrong": (0 + 0 + 1 / 2) / (1 / 2 + 0 + 1 / 2),
        "wrong_to_right": (1 / 4 + 1 / 2 + 0) / (1 / 2 + 1 + 1 / 2),
    }
    for name in ("toy", "macro"):
        assert {key: found[name][key] for key in expected} == pytest.approx(expected)
        assert found[name]["ci_low"] < found[name]["refinement_gap"] < found[name]["ci_high"]
    printed = capsys.readouterr()
    assert "toy: 3 problems, 4 sets of 4: pass@1 20.8 %, pass@4 66.7 %, maj@4 33.3 %, selfref@4 41.7 %" in printed.out
    assert "gap +8.3 points (" in printed.out
    assert "3 problems decide it, 2 of them for the refinement" in printed.out
    assert f"statistics in {tmp_path}" in printed.out
    # Four of the 24 responses leave the answer to their text, and two have a verdict.
    assert "4 answers were extracted from texts, 22 responses were judged" in printed.err


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    other = [row | {"dataset": "other"} for row in ROWS]
    rows = ROWS + other
    assert results(tmp_path, random.Random(0).sample(rows, len(rows))) == results(tmp_path, rows)


def test_no_refinements_are_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = [{key: value for key, value in row.items() if key != "refinements"} | {"dataset": "bare"} for row in ROWS]
    found = results(tmp_path, ROWS + bare)
    refined = ("selfref@4", "refinement_gap", "ci_low", "ci_high", "all_wrong_recovery", "right_to_wrong")
    assert {found["bare"][key] for key in refined} == {None}
    assert found["bare"]["maj@4"] == found["toy"]["maj@4"]
    assert found["macro"]["selfref@4"] == found["toy"]["selfref@4"]
    assert "bare: 3 problems, 4 sets of 4" in (printed := capsys.readouterr().out)
    assert "no refinements of 4 candidates, so no gap" in printed


def test_unequal_k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "rows.jsonl", [*ROWS, ROWS[0] | {"id": "s", "candidates": [{"answer": "3"}] * 3}])
    assert main(["metrics", "--episodes", path, "--json", str(tmp_path / "out.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}: rows have 3 to 4 candidates (episodes toy/s and toy/p); choose k, at most 3" in line
    assert not (tmp_path / "out.json").exists()
    assert main(["metrics", "--episodes", path, "--k", "4"]) == 2
    assert "toy/s has 3 candidates; k=4 must be from 1 to their number" in capsys.readouterr().err
    found = results(tmp_path, [ROWS[0], ROWS[3] | {"candidates": [{"answer": "3"}] * 3}], "--k", "2")["toy"]
    # of the pairs of 1/2, 1/2, 3, - one is right, two are tied, and three have - in them, of which two are right
    assert found["maj@2"] == pytest.approx((1 + 2 / 2 + 2) / 6 / 2)
    assert (found["k"], found["pass@2"], found["selfref@2"]) == (2, pytest.approx(5 / 6 / 2), None)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "no episodes to summarize"),
        ([ROWS[0] | {"dataset": "macro"}], '"macro" is the name of the mean'),
        ([ROWS[0], ROWS[1] | {"refinements": []}], "1 of 2 rows of toy have no refinement, the first is p"),
        ([ROWS[0], {"id": "q", "dataset": "toy", "candidates": [{"answer": "1"}] * 4}], ':2: "gold" is missing'),
        ([ROWS[0] | {"candidates": [{"correct": True}]}], ':1: "candidates[0].answer" and "candidates[0].text"'),
        ([ROWS[0] | {"round": 1}, ROWS[0] | {"id": "q", "round": 2}], "round 1 of toy lacks 1 problems"),
    ],
)
def test_bad_input(
    rows: list[dict[str, Any]], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "rows.jsonl", rows)
    assert main(["metrics", "--episodes", path, "--json", str(tmp_path / "out.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gsr-rl: {path}:") and complaint in line
    assert not (tmp_path / "out.json").exists()


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--episodes", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl: No such file" in capsys.readouterr().err


def test_a_mixture_of_models_is_remarked_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results(tmp_path, [row | {"model": "A", "refiner": name} for row, name in zip(ROWS, "BBBC", strict=True)])
    assert "rows of 2 pairs of model and refiner count as repeats" in capsys.readouterr().err
