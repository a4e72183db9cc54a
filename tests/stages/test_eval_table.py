"""The table at the end of `gsr-rl eval`."""

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.stages.eval_table import table


def response(correct: bool, score: float | None = None) -> Response:
    return Response("", "1" if correct else "0", correct, score=score)


def row(dataset: str, i: int, right: int, refined: bool, round_: int = 1, scored: bool = False) -> Episode:
    """An episode with three candidates, of which `right` are right."""
    candidates = tuple(response(n < right, float(n) if scored else None) for n in range(3))
    return Episode(str(i), dataset, "?", "1", candidates, (response(refined),), round=round_)


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_line_for_each_benchmark_without_empty_columns() -> None:
    rows = [row("a", i, right, True) for i, right in enumerate((3, 2, 1, 0))] + [row("b", 0, 3, False)]
    head, a, b, macro = cells(table([evaluate(rows)]))
    assert head == ["K", "n", "pass@1", "pass@K", "maj@K", "selfref@K", "gap", "95", "%", "interval"]
    # of a 6 of 12 are right, one in 3 sets of 4; the vote in 2 of 4
    assert a[:8] == ["a", "3", "4", "50.0", "75.0", "50.0", "100.0", "+50.0"]
    assert b[:8] == ["b", "3", "1", "100.0", "100.0", "100.0", "0.0", "-100.0"]
    assert macro[:8] == ["macro", "3", "5", "75.0", "87.5", "75.0", "50.0", "-25.0"]
    assert a[9] == "to" and float(a[8]) < 50 < float(a[10])


def test_sizes_of_a_sweep_stand_together_and_scores_have_a_column() -> None:
    three = [row("a", 0, 1, True, scored=True)]
    two = [Episode("0", "a", "?", "1", three[0].candidates[:2], three[0].refinements)]
    head, *lines = cells(table([evaluate(two), evaluate(three)]))
    assert head[:7] == ["K", "n", "pass@1", "pass@K", "maj@K", "best@K", "selfref@K"]
    assert [line[:3] for line in lines] == [["a", "2", "1"], ["a", "3", "1"], ["macro", "2", "1"], ["macro", "3", "1"]]
    assert [line[6] for line in lines] == ["0.0"] * 4  # the best score is a wrong one's


def test_rounds_have_lines_of_their_own() -> None:
    rows = [row("a", 0, 1, False), row("a", 0, 3, True, round_=2)]
    _, first, second, *_ = table([evaluate(rows)]).splitlines()
    assert first.split()[:4] == ["a,", "round", "1", "3"] and first.split()[9] == "+0.0"
    assert second.split()[:4] == ["a,", "round", "2", "3"] and second.split()[5:9] == ["100.0"] * 4
