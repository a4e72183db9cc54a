"""gsr-rl verify: counts on cases, golds that cannot be parsed, bad rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.cli import main

CASES = [
    {"response": r"\boxed{6}", "gold": "6", "expected": True, "kind": "integer"},
    {"response": r"\boxed{7}", "gold": "6", "expected": False, "kind": "integer"},
    {"response": r"\boxed{8}", "gold": "6", "expected": True, "kind": "integer"},  # a false negative
    {"response": r"\boxed{0.5}", "gold": r"\frac{1}{2}", "expected": False, "kind": "fraction"},  # a false positive
    {"response": r"\boxed{9^{9^{9^9}}}", "gold": "6", "expected": "no-crash", "kind": "heavy", "max_seconds": 20},
    {"response": r"\boxed{6}", "gold": "6", "expected": True, "max_seconds": 1e-12, "source": "too late"},
    {"response": "hm", "gold": "6"},
]


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_counts_on_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "report.json"
    assert main(["verify", "--cases", write(tmp_path / "cases.jsonl", CASES), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    counts = ("n", "agree", "false_positive", "false_negative", "timeouts", "no_crash_violations")
    assert [report[key] for key in counts] == [6, 3, 1, 1, 0, 1]
    assert report["by_kind"] == {
        "": {"n": 1, "agree": 0},
        "fraction": {"n": 1, "agree": 0},
        "heavy": {"n": 1, "agree": 1},
        "integer": {"n": 3, "agree": 2},
    }
    assert [case["line"] for case in report["disagreements"]] == [3, 4, 6]
    assert [(case["line"], case["reason"]) for case in report["verdicts"]] == [(7, "no_answer")]
    assert 0 <= report["p50_ms"] <= report["p99_ms"] <= 1e3 * report["max_s"]
    assert "3 of 6 agree; 1 false positive, 1 false negative" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["report.json"]


def test_golds_that_cannot_be_parsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"answer": "6"}, {"gold": "x for which it holds"}, {"answer": 7}, {"answer": r"\frac{1}{"}, {"answer": " "}]
    assert main(["verify", "--golds", write(tmp_path / "problems.jsonl", rows)]) == 0
    printed = capsys.readouterr().out
    assert "line 4: only its own spelling can match" in printed
    assert "line 5: not accepted as itself" in printed
    assert "5 golds: 2 cannot be parsed, 2 are not accepted" in printed


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ('{"response": "a"}', '"gold" is missing'),
        ('{"response": 1, "gold": "1"}', '"response" is missing or no text'),
        ('{"response": "a", "gold": "1", "expected": "yes"}', "\"expected\" is 'yes'"),
        ('{"response": "a", "gold": "1", "expected": 1}', '"expected" is 1'),
        ('{"response": "a", "gold": "1", "max_seconds": 0}', '"max_seconds" is 0'),
        ("[1]", "not an object"),
        ("{", "not JSON"),
    ],
)
def test_bad_cases_are_named(row: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(f'{{"response": "a", "gold": "1"}}\n{row}\n')
    assert main(["verify", "--cases", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}:2: " in line and complaint in line


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--golds", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl: No such file" in capsys.readouterr().err
