"""The `gsr:` section: bad settings end in one line that names the key and what it must be, before anything starts."""

import math
from typing import Any

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import Gsr, Sampling, SyncGuard


def refused(error: pytest.ExceptionInfo[UsageError], *parts: str) -> None:
    """Check that the error is one line that holds all of `parts`."""
    line = str(error.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


def build(**gsr: Any) -> Gsr:
    return Gsr.of(gsr, "gsr")


def test_the_defaults_are_the_paper_s_weight_and_a_group_in_each_stage() -> None:
    gsr = build()
    assert gsr == Gsr()
    assert gsr.refine_weight == 0.5
    assert (gsr.k, gsr.m) == (4, 2)
    assert gsr.validation.candidate == Sampling(temperature=1.0, top_p=1.0, top_k=-1)


def test_nested_sections_are_built() -> None:
    gsr = build(
        k=8,
        refine_weight=1,
        validation={"m": 3, "refinement": {"temperature": 0.6}},
        sync_guard={"min_correlation": 0.99},
        prompts={"system": "Solve."},
    )
    assert (gsr.k, gsr.refine_weight, gsr.validation.m) == (8, 1.0, 3)
    assert isinstance(gsr.refine_weight, float)
    assert gsr.validation.refinement == Sampling(temperature=0.6)
    assert gsr.validation.candidate == Sampling()
    assert gsr.sync_guard == SyncGuard(min_correlation=0.99)
    assert gsr.prompts.system == "Solve."


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 1, "refine_weight": 1.0},  # no candidate is trained on, so no group is needed
        {"m": 1, "refine_weight": 0.0},
        {"easy_probability": 0},
        {"refine_weight": 0.0},
        {"refine_weight": 1.0},
        {"validation": {"candidate": {"top_p": 1.0}}},
    ],
)
def test_values_at_their_limits(settings: dict[str, Any]) -> None:
    assert isinstance(build(**settings), Gsr)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"refine_weight": 1.01}, ["gsr.refine_weight=1.01", "from 0 to 1"]),
        ({"refine_weight": -0.1}, ["gsr.refine_weight=-0.1", "from 0 to 1"]),
        ({"refine_weight": math.nan}, ["gsr.refine_weight=nan", "a finite number"]),
        ({"k": 0, "refine_weight": 1.0}, ["gsr.k=0", "at least 1"]),
        ({"k": 1}, ["gsr.k=1", "at least 2", "gsr.refine_weight < 1"]),
        ({"m": 1}, ["gsr.m=1", "at least 2", "gsr.refine_weight > 0"]),
        ({"m": 0, "refine_weight": 0.0}, ["gsr.m=0", "at least 1"]),
        ({"easy_probability": 1.5}, ["gsr.easy_probability=1.5", "from 0 to 1"]),
        ({"candidate_tokens": 0}, ["gsr.candidate_tokens=0", "at least 1"]),
        ({"refinement_tokens": -1}, ["gsr.refinement_tokens=-1", "at least 1"]),
        ({"selection": "hard"}, ["gsr.selection=hard", "all, hard_first"]),
        ({"validation": {"m": 0}}, ["gsr.validation.m=0", "at least 1"]),
        ({"validation": {"candidate": {"temperature": 0}}}, ["gsr.validation.candidate.temperature=0", "above 0"]),
        ({"validation": {"refinement": {"temperature": -1}}}, ["gsr.validation.refinement.temperature=-1", "above 0"]),
        ({"validation": {"candidate": {"top_p": 0}}}, ["gsr.validation.candidate.top_p=0", "above 0 and at most 1"]),
        ({"validation": {"candidate": {"top_p": 1.1}}}, ["gsr.validation.candidate.top_p=1.1", "at most 1"]),
        ({"prompts": {"direct": "no field"}}, ["gsr.prompts.direct", "{problem}"]),
    ],
)
def test_bad_values(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        build(**settings)
    refused(error, *parts)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"refine_wieght": 0.5}, ["gsr.refine_wieght: no such key", "did you mean gsr.refine_weight?"]),
        ({"validation": {"mm": 2}}, ["gsr.validation.mm: no such key", "did you mean gsr.validation.m?"]),
        (
            {"validation": {"candidate": {"temprature": 1}}},
            ["gsr.validation.candidate.temprature", "gsr.validation.candidate.temperature?"],
        ),
        ({"validation": {"candidate": {"top_k": 0}}}, ["gsr.validation.candidate.top_k=0", "-1 (all) or at least 1"]),
        ({"sync_guard": {"min_correlation": math.nan}}, ["gsr.sync_guard.min_correlation=nan", "a finite number"]),
        ({"sync_guard": {"min_correlation": 1}}, ["gsr.sync_guard.min_correlation=1", "at least -1 and below 1"]),
        ({"sync_guard": {"timeout_s": 0}}, ["gsr.sync_guard.timeout_s=0", "above 0"]),
        (
            {"sync_guard": {"zzz": 1}},
            ["gsr.sync_guard.zzz: no such key", "gsr.sync_guard has: min_correlation, timeout_s"],
        ),
    ],
)
def test_misspelt_keys(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        build(**settings)
    refused(error, *parts)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"k": "four"}, ["gsr.k='four'", "a whole number"]),
        ({"k": 4.0}, ["gsr.k=4.0", "a whole number"]),
        ({"k": True}, ["gsr.k=True", "a whole number"]),
        ({"k": None}, ["gsr.k=None", "a whole number"]),
        ({"refine_weight": "half"}, ["gsr.refine_weight='half'", "a number"]),
        ({"refine_weight": True}, ["gsr.refine_weight=True", "a number"]),
        ({"validation": 3}, ["gsr.validation=3", "a section with keys of its own"]),
        ({"prompts": {"system": 1}}, ["gsr.prompts.system=1", "text"]),
        ({"selection": None}, ["gsr.selection=None", "all, hard_first"]),
    ],
)
def test_wrong_types(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        build(**settings)
    refused(error, *parts)


def test_no_refinements_are_sampled_in_training_where_they_have_no_weight() -> None:
    assert (build(m=3).training_m, build(m=3, refine_weight=0.0).training_m) == (3, 0)


def test_the_longest_response_of_either_stage() -> None:
    assert build(candidate_tokens=5, refinement_tokens=7).max_response_tokens == 7
    assert build(candidate_tokens=9, refinement_tokens=7).max_response_tokens == 9
