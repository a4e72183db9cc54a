"""The examples in the docstrings of gsr_rl.metrics."""

import doctest
import importlib
import pkgutil

import pytest

import gsr_rl.metrics

MODULES = [module.name for module in pkgutil.iter_modules(gsr_rl.metrics.__path__)]
# Each of these public functions has an example.
SHOWN = {
    "voting": ["vote_classes", "plurality", "majority_score", "majority_score_of", "is_selected"],
    "estimators": ["pass_at_k", "pass_at_each", "maj_at_each", "best_at_each"],
    "gap": ["episode_scores", "summarize", "paired_change", "agreement"],
    "confidence": ["Statistic.value", "mean_statistic", "resample", "interval", "estimate"],
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"gsr_rl.metrics.{name}"))
    assert results.failed == 0
    assert results.attempted > 0 or name not in SHOWN


@pytest.mark.parametrize("name", SHOWN)
def test_central_functions_have_an_example(name: str) -> None:
    tests = doctest.DocTestFinder().find(importlib.import_module(f"gsr_rl.metrics.{name}"))
    with_examples = {test.name.removeprefix(f"gsr_rl.metrics.{name}.") for test in tests if test.examples}
    assert set(SHOWN[name]) <= with_examples
