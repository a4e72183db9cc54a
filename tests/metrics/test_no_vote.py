"""A reward that needs no box: responses without answers have no vote, and so no gap; and the report says why."""

import json
from pathlib import Path

import pytest

from gsr_rl.episode import Episode, Response, write_episodes
from gsr_rl.errors import UsageError
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.metrics.gap import NO_VOTE, paired_change, summarize
from gsr_rl.metrics.logged import check_votes, val_metrics
from gsr_rl.report import command
from gsr_rl.report.results import WITHOUT_VOTE, Evaluation
from gsr_rl.report.text import verdict
from gsr_rl.stages.eval_table import table

RIGHT, WRONG = Response("a proof", None, correct=True), Response("no proof", None, correct=False)


def proofs(dataset: str = "proofs") -> list[Episode]:
    sets = [(RIGHT, WRONG), (WRONG, WRONG), (RIGHT, RIGHT)]
    return [
        Episode(str(i), dataset, "Prove it.", "", candidates, refinements=(RIGHT,), extra_candidates=(RIGHT,))
        for i, candidates in enumerate(sets)
    ]


def sums() -> list[Episode]:
    answered = Response("3", "3", correct=True)
    return [Episode(str(i), "sums", "1 + 2?", "3", (answered, answered), refinements=(answered,)) for i in range(2)]


def test_without_answers_vote_and_gap_are_null_with_the_reason() -> None:
    results = evaluate(proofs())
    for found in (results["proofs"], results["macro"]):
        assert found["no_vote"] == NO_VOTE
        assert (found["pass@1"], found["pass@2"], found["selfref@2"]) == (0.5, pytest.approx(2 / 3), 1.0)
        of_vote = ("maj@2", "maj@3", "refinement_gap", "equal_budget_gap", "ci_low", "right_to_wrong", "wrong_to_right")
        assert [found[name] for name in (*of_vote, "first@2", "shortest@2")] == [None] * 9
        assert found["by_k"]["2"]["maj@k"]["value"] is None and found["by_k"]["2"]["pass@k"]["value"] is not None
        assert (found["all_wrong_recovery"], found["decided_n"]) == (1.0, 0)
    summary = summarize(proofs())["proofs"]
    assert (summary["maj@2"], summary["refinement_gap"], summary["selfref@2"]) == (None, None, 1.0)
    assert "gsr/val/proofs/maj@2" not in val_metrics({"proofs": summary}, {})


def test_other_datasets_keep_their_vote() -> None:
    results = evaluate([*proofs(), *sums()])
    assert "no_vote" not in results["macro"] and "no_vote" not in results["sums"]
    assert (results["sums"]["maj@2"], results["macro"]["maj@2"]) == (1.0, 1.0)
    assert results["proofs"]["maj@2"] is None


def test_one_answer_makes_a_vote() -> None:
    rows = proofs()
    answered = Response("5", "5", correct=False)
    rows[1] = Episode("1", "proofs", "Prove it.", "", (WRONG, answered), refinements=(RIGHT,))
    assert evaluate(rows)["proofs"]["maj@2"] == 0.0


def test_what_is_printed_says_why() -> None:
    assert table([evaluate(proofs())]).count(NO_VOTE) == 2
    evaluation = Evaluation.of("base", proofs())
    assert verdict(evaluation) == f"base: {NO_VOTE}."
    assert evaluation.kinds == [WITHOUT_VOTE] * 3
    assert evaluation.kind_counts()[WITHOUT_VOTE] == 3


def test_a_report_is_written_all_the_same(tmp_path: Path) -> None:
    for name in ("base", "sft"):
        write_episodes(tmp_path / "episodes" / f"{name}.jsonl", proofs())
    command.main([str(tmp_path)])
    (stage, _) = json.loads((tmp_path / "report.json").read_text())["stages"]
    assert (stage["no_vote"], stage["refinement_gap"], stage["selfref@2"]) == (NO_VOTE, None, 1.0)
    page = (tmp_path / "report.md").read_text()
    assert f"base: {NO_VOTE}." in page and "vote wrong, and fixed: 0" in page


def test_votes_of_nobody_are_not_compared() -> None:
    assert paired_change(proofs(), proofs(), "maj@k")["n"] == 0
    assert paired_change(proofs(), proofs(), "pass@1")["change"] == 0.0


@pytest.mark.parametrize(
    ("selection", "no_answer", "correct", "refused"),
    [
        ("hard_first", [True, True], [True, False], True),
        ("hard_first", [True, False], [True, False], False),
        ("hard_first", [True, True], [False, False], False),  # a weak model may have no answer yet
        ("all", [True, True], [True, True], False),
    ],
)
def test_a_selection_by_the_vote_needs_answers(
    selection: str, no_answer: list[bool], correct: list[bool], refused: bool
) -> None:
    tags = [
        {"stage": "candidate", "no_answer": none, "correct": right}
        for none, right in zip(no_answer, correct, strict=True)
    ]
    tags += [{"stage": "failed", "no_answer": True, "correct": False}]
    if not refused:
        return check_votes(selection, tags)
    with pytest.raises(UsageError, match=r"^gsr\.selection=hard_first: none of 2 candidates has an answer .*=all$"):
        check_votes(selection, tags)
