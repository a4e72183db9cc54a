"""The examples in the docstrings of rewards and in docs/rewards.md give what they say."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import rewards

MODULES = ("rewards", *(f"rewards.{module.name}" for module in pkgutil.iter_modules(rewards.__path__)))
WITH_EXAMPLES = {"rewards.answers", "rewards.extract", "rewards.verifier", "rewards.math_reward"}
PAGE = Path(__file__).parents[2] / "docs" / "rewards.md"


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert attempted > 0 or name not in WITH_EXAMPLES


def test_every_public_module_is_run() -> None:
    assert set(MODULES) > WITH_EXAMPLES


def test_the_page_shows_how_to_use_the_package_alone() -> None:
    (block,) = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(), re.DOTALL)
    examples = doctest.DocTestParser().get_doctest(block, {}, PAGE.name, str(PAGE), 0)
    failed, attempted = doctest.DocTestRunner().run(examples)
    assert (failed, attempted) == (0, 4)
    assert len(block.splitlines()) == 6


def test_the_page_shows_a_reward_function_for_another_domain() -> None:
    (block,) = re.findall(r"```python\n(from rewards.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    compute_score = names["compute_score"]
    assert compute_score("knights", r"\boxed{Alice, Bob}", "Bob, Alice") == {"score": 1.0, "acc": 1.0}
    assert compute_score("knights", r"\boxed{Alice}", "Bob, Alice") == {"score": 0.5, "acc": 0.0}
    assert compute_score("knights", "no idea", "Bob") == {"score": 0.0, "acc": 0.0}
