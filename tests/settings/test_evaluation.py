"""The `eval:` section: the design of an evaluation, and models that do not go together."""

from typing import Any

import pytest
from composed import changed, composed

from gsr_rl.errors import UsageError
from gsr_rl.settings.evaluation import Design, Eval, is_url
from gsr_rl.settings.gsr import Gsr

GSR = Gsr(k=4)


@pytest.mark.parametrize(
    ("values", "design"),
    [
        ({}, Design([4], pool=5, m=1, extra=1)),
        ({"extra_candidates": 0}, Design([4], pool=4, m=1, extra=0)),
        ({"pool": 16}, Design([4], pool=16, m=1, extra=1)),
        ({"sweep": [2, 8, 4]}, Design([2, 8, 4], pool=9, m=1, extra=1)),
        ({"population": 16, "rounds": 3}, Design([4], pool=16, m=1, extra=1, sets=16, rounds=3)),
        ({"population": 5}, Design([4], pool=5, m=1, extra=1, sets=5, rounds=1)),
        ({"population": 5, "extra_candidates": 0}, Design([4], pool=5, m=1, extra=0, sets=5, rounds=1)),
    ],
)
def test_the_design(values: dict[str, Any], design: Design) -> None:
    assert Eval.of(values).design(GSR) == design


def test_refinements_of_a_set_are_those_of_validation() -> None:
    gsr = Gsr.of({"validation": {"m": 3}})
    assert Eval().design(gsr).m == 3


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["eval.pool=4"], "eval.pool=4: must be null, or at least 5: a set of 4 and eval.extra_candidates=1"),
        (["eval.pool=8", "eval.sweep=[2,8]"], "eval.pool=8: must be null, or at least 9"),
        (["eval.sweep=[]"], "eval.sweep=[]: must be null, or a list of different whole numbers of at least 1"),
        (["eval.sweep=[2,2]"], "eval.sweep=[2, 2]: must be null, or a list of different whole numbers"),
        (["eval.sweep=[0,2]"], "eval.sweep=[0, 2]: must be null, or a list of different whole numbers"),
        (["eval.rounds=2"], "eval.population=None: must be the candidates of each of eval.rounds=2"),
        (["eval.population=4"], "eval.population=4: must be null, or at least 5"),
        (["eval.population=4", "eval.extra_candidates=0"], "eval.population=4: must be null, or at least 5"),
        (["eval.population=9", "eval.sweep=[2]"], "eval.sweep=[2]: must be null beside eval.population"),
        (["eval.population=9", "eval.pool=9"], "eval.pool=9: must be null beside eval.population"),
        (["eval.population=9", "gsr.validation.m=2"], "gsr.validation.m=2: must be 1 beside eval.population"),
        (["eval.benchmarks=[]"], "eval.benchmarks=[]: must be a list of different set names and files"),
        (["eval.benchmarks=[a,a]"], "eval.benchmarks=['a', 'a']: must be a list of different set names and files"),
        (["model=http://a/v1"], "eval.server.model=None: must be the model's name at model=URL"),
        (
            ["model=http://a/v1", "eval.server.urls=[http://b/v1]", "eval.server.model=m"],
            "eval.server.urls=['http://b/v1']: must be empty beside model=URL",
        ),
        (
            ["model=folder", "eval.server.urls=[http://b/v1]", "eval.server.model=m"],
            "eval.model=folder: must be null where eval.server.urls says where the model is",
        ),
        (["eval.server.model=m"], "eval.server.model=m: must be null where model is a folder or hub name"),
        (["eval.refiner.model=http://a/v1"], "eval.refiner.model=http://a/v1: must be a name; the URL belongs into"),
        (["eval.reward_model.model=http://a/v1"], "eval.reward_model.model=http://a/v1: must be a name; the URL"),
        (["eval.tokenizer=t"], "eval.tokenizer=t: must be null: the model that refines is not at a URL"),
        (
            ["model=http://a/v1", "eval.server.model=m", "eval.refiner.model=r", "eval.tokenizer=t"],
            "eval.tokenizer=t: must be null: the model that refines is not at a URL",
        ),
    ],
)
def test_what_cannot_be_evaluated(overrides: list[str], line: str) -> None:
    settings = composed("quickstart_cpu")
    with pytest.raises(UsageError) as raised:
        changed(settings, *overrides)
    assert str(raised.value).startswith(line)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=http://a/v1", "eval.server.model=m", "eval.tokenizer=t"],
        ["eval.server.urls=[http://a/v1]", "eval.server.model=m", "eval.tokenizer=t"],
        ["model=folder", "eval.refiner.urls=[http://a/v1]", "eval.refiner.model=r", "eval.tokenizer=t"],
        ["model=folder", "eval.refiner.model=r"],
    ],
)
def test_what_can_be_evaluated(overrides: list[str]) -> None:
    settings = changed(composed("quickstart_cpu"), *overrides)
    assert settings.design == Design([4], pool=5, m=1, extra=1)


@pytest.mark.parametrize(
    ("model", "url"),
    [("http://a/v1", True), ("https://a", True), ("Qwen/Qwen3-1.7B", False), ("./folder", False), (None, False)],
)
def test_urls(model: str | None, url: bool) -> None:
    assert is_url(model) is url
