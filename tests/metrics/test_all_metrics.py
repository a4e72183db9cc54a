"""gsr_rl.metrics.all_metrics: a file worked out by hand, and random files against a second implementation."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import reference_metrics

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.metrics.gap import MACRO, summarize
from gsr_rl.metrics.import_episodes import RowImporter


def plain(results: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Statistics by their paths, without intervals."""
    flat: dict[str, Any] = {}
    for key, value in results.items():
        if isinstance(value, dict) and "value" in value:
            flat[path + key] = value["value"]
        elif isinstance(value, dict) and key != "ci":
            flat |= plain(value, f"{path}{key}/")
        elif key not in ("ci", "ci_low", "ci_high"):
            flat[path + key] = value
    return flat


def random_response(rng: random.Random, known: bool) -> dict[str, Any]:
    """A random response: with or without the key "answer", and with or without a verdict, which may be wrong."""
    answer = rng.choice([*reference_metrics.MEANING, None])
    text = "x" * rng.randint(1, 4) + (rf"\boxed{{{answer}}}" if answer else "")
    response: dict[str, Any] = {"text": text, "cut_off": rng.random() < 0.2}
    if rng.random() < 0.7:
        response["answer"] = answer
        if rng.random() < 0.1 and not known:
            del response["text"]
    if rng.random() < 0.5:
        response["correct"] = rng.random() < 0.4
    if known:
        response |= {"n_tokens": rng.randint(1, 4), "score": rng.randint(0, 3) / 2}
    return response


def random_rows(seed: int, k: int, m: int, extra: int, rounds: int = 1, known: bool = False) -> list[dict[str, Any]]:
    """Two datasets of a few problems, some with repeats. Only one of the datasets has refinements if m is 0."""
    rng = random.Random(seed)
    rows = []
    for dataset in ("a", "b"):
        for name in range(5):
            for _ in range(rng.choice((1, 1, 3))):
                for number in range(1, rounds + 1):
                    lists = {"candidates": k, "refinements": m or (dataset == "a") * 2, "extra_candidates": extra}
                    lists["swapped_refinements"] = rng.choice((0, 2))
                    row: dict[str, Any] = {"id": str(name), "dataset": dataset, "problem": "?", "gold": "1/2"}
                    row |= {kind: [random_response(rng, known) for _ in range(n)] for kind, n in lists.items()}
                    rows.append(row | ({"round": number} if rounds > 1 else {}))
    return rows


@pytest.mark.parametrize(
    ("rows", "k"),
    [
        (random_rows(1, k=4, m=1, extra=1), None),
        (random_rows(2, k=4, m=2, extra=3, known=True), None),
        (random_rows(3, k=3, m=0, extra=0, known=True), None),
        (random_rows(4, k=2, m=1, extra=1, rounds=3), None),
        (random_rows(5, k=5, m=1, extra=1, known=True), 3),
        ([*random_rows(6, k=3, m=1, extra=0), *random_rows(7, k=4, m=1, extra=0)], 3),
        (random_rows(8, k=1, m=1, extra=2, known=True), None),
    ],
    ids=["plain", "many", "partly", "rounds", "smaller-k", "unequal-k", "one"],
)
def test_against_a_second_implementation(rows: list[dict[str, Any]], k: int | None) -> None:
    fill_in = RowImporter()
    found = evaluate([Episode.from_dict(fill_in(row)) for row in rows], k)
    expected = reference_metrics.evaluate(rows, k)
    assert set(found) == set(expected)
    for dataset, rates in expected.items():
        ours = plain(found[dataset])
        assert sorted(ours) == sorted(rates)
        for name, rate in rates.items():
            assert ours[name] == (None if rate is None else pytest.approx(float(rate), abs=1e-12)), (dataset, name)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_it_agrees_with_the_summary_and_its_interval() -> None:
    fill_in = RowImporter()
    episodes = [Episode.from_dict(fill_in(row)) for row in random_rows(1, k=4, m=1, extra=1)]
    found, summary = evaluate(episodes), summarize(episodes)
    for dataset, statistics in summary.items():
        assert {key: found[dataset][key] for key in statistics} == statistics
        assert found[dataset]["ci"]["refinement_gap"] == [statistics["ci_low"], statistics["ci_high"]]


def of(answers: str, *lengths: int, scores: tuple[float, ...] = ()) -> tuple[Response, ...]:
    """One response per character: "0" is right, other digits are wrong, "-" is no answer."""
    return tuple(
        Response(f"text {a}", None if a == "-" else a, a == "0", a == "-", n, score)
        for a, n, score in zip(answers, lengths or [None] * 9, scores or [None] * 9, strict=False)
    )


# K = 3 and two refinements each, worked out by hand:
#         candidates  maj  selfref  gap    first      shortest   best    with the extra one
#   p     -01         1/2  1        +1/2   0: right   1: wrong   right   0: maj@4 = 1
#   q     110         0    1/2      +1/2   1: wrong   tie 1, 0   wrong   1: maj@4 = 0
#   r     222         0    0         0     wrong      wrong      wrong   2: maj@4 = 0
HAND = [
    Episode("p", "toy", "?", "0", of("-01", 9, 6, 4, scores=(0, 3, 1)), of("00", 2, 4), of("0", 5)),
    Episode("q", "toy", "?", "0", of("110", 3, 5, 3, scores=(2, 2, 1)), of("03", 6, 6), of("1", 5)),
    Episode("r", "toy", "?", "0", of("222", 7, 1, 1, scores=(0, 0, 0)), of("2-", 1, 1), of("2", 5)),
]


def test_by_hand() -> None:
    toy = evaluate(HAND)["toy"]
    assert (toy["n"], toy["k"], toy["sets"], toy["decided_n"], toy["decided_for_n"]) == (3, 3, 3, 2, 2)
    assert (toy["maj@3"], toy["selfref@3"], toy["refinement_gap"]) == pytest.approx((0.5 / 3, 1.5 / 3, 1 / 3))
    assert toy["equal_budget_gap"] == pytest.approx(1.5 / 3 - 1 / 3)
    assert (toy["first@3"], toy["shortest@3"], toy["bon@3"]) == pytest.approx((1 / 3, 0.5 / 3, 1 / 3))
    tokens = {name: estimate["value"] for name, estimate in toy["tokens"].items()}
    assert tokens == pytest.approx(
        {
            "pass@1": (19 / 3 + 11 / 3 + 9 / 3) / 3,
            "maj@3": (19 + 11 + 9) / 3,
            "bon@3": (19 + 11 + 9) / 3,
            "maj@4": (24 + 16 + 14) / 3,
            "selfref@3": (19 + 3 + 11 + 6 + 9 + 1) / 3,
            "first@3": (9 + 6 + 3 + 7) / 3,  # the first candidate of p has no answer
            "shortest@3": 3 * (4 + 3 + 1) / 3,
        }
    )
    assert toy["accuracy_per_1k_tokens"]["selfref@3"]["value"] == pytest.approx(1_000 * (1.5 / 3) / (49 / 3))
    # in the pool of r nothing is right; pairs of p's -, 0, 1, 0 that hold the right one: all but -1
    assert toy["by_k"]["2"]["pass@k"]["value"] == pytest.approx((5 / 6 + 3 / 6 + 0) / 3)
    assert list(toy["by_k"]) == ["1", "2", "3", "4"]
    assert {c: (group["n"], group["accuracy"]["value"]) for c, group in toy["by_correct"].items()} == {
        "0": (1, 0.0),
        "1": (2, 0.75),
        "2": (0, None),
        "3": (0, None),
    }
    agreement = {name: estimate["value"] for name, estimate in toy["agreement"].items() if name != "n"}
    # p: both give 0, one of two tied; q: 0 of the minority, and 3, which is new; r: one copies, one has no answer
    expected = {"majority": (1 / 2 + 0 + 1 / 2) / 3, "any_candidate": (1 + 1 / 2 + 1 / 2) / 3}
    assert agreement == pytest.approx(expected | {"novel": 0.5 / 3, "no_answer": 0.5 / 3})
    assert toy["lengths"]["candidates"]["tokens"]["value"] == pytest.approx(39 / 9)
    assert toy["lengths"]["candidates"]["cut_off"]["value"] == pytest.approx(1 / 9)
    assert toy["lengths"]["refinements"]["no_answer"]["value"] == pytest.approx(1 / 6)
    assert "rounds" not in toy


def test_controls_by_hand() -> None:
    p, q, r = HAND
    rows = [replace(p, swapped_refinements=of("1")), replace(q, swapped_refinements=of("000-")), r]
    controls = evaluate(rows)["toy"]["controls"]
    assert controls["direct_again"]["value"] == pytest.approx(1 / 3)
    assert (controls["selfref_swapped"]["value"], controls["swapped_n"]) == ((0 + 3 / 4) / 2, 2)
    assert evaluate([replace(r, extra_candidates=())])["toy"]["controls"]["direct_again"]["value"] is None


def test_rounds_by_hand() -> None:
    """The candidates of the second round are refinements of the first."""
    rows = [
        Episode("p", "toy", "?", "0", of("11"), of("0"), round=1),
        Episode("p", "toy", "?", "0", of("01"), of("1"), round=1),
        Episode("p", "toy", "?", "0", of("01"), of("0"), round=2),
        Episode("p", "toy", "?", "0", of("10"), of("0"), round=2),
    ]
    toy = evaluate(rows)["toy"]
    # first: maj 0 and 1/2, selfref 1 and 0; second: maj 1/2 twice, selfref 1 twice
    assert (toy["maj@2"], toy["selfref@2"], toy["refinement_gap"], toy["sets"]) == (0.25, 0.5, 0.25, 2)
    second = {name: estimate["value"] for name, estimate in toy["rounds"]["2"].items()}
    assert (second["maj@2"], second["selfref@2"], second["refinement_gap"]) == (0.5, 1.0, 0.5)
    assert second["gap_to_first_vote"] == 0.75
    assert toy["rounds"]["1"]["refinement_gap"]["value"] == toy["refinement_gap"]


def test_rounds_must_be_of_the_same_problems() -> None:
    rows = [
        Episode(name, "toy", "?", "0", of("11"), of("0"), round=number)
        for name, number in (("p", 1), ("q", 1), ("p", 2))
    ]
    with pytest.raises(UsageError, match="round 2 of toy lacks 1 problems, the first is q"):
        evaluate(rows)


def test_every_statistic_has_an_interval_around_it() -> None:
    found = evaluate(HAND)
    for results in (found["toy"], found[MACRO]):
        for name, (low, high) in results["ci"].items():
            assert low <= results[name] <= high, name
        assert results["ci"].keys() >= {"pass@1", "pass@3", "maj@3", "maj@4", "selfref@3", "wrong_to_right"}
        for place in (results["tokens"], results["by_k"]["3"], results["lengths"]["candidates"]):
            for name, estimate in place.items():
                if name != "bon@k":  # the extra candidates have no score
                    assert estimate["ci_low"] <= estimate["value"] <= estimate["ci_high"], name


def test_a_dataset_does_not_depend_on_the_others() -> None:
    other = [Episode("z", "other", "?", "0", of("012"), of("0"), of("1"))]
    assert evaluate([*other, *HAND])["toy"] == evaluate(HAND)["toy"]
