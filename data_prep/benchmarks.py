"""Benchmarks of an evaluation: named sets and files."""

from collections.abc import Sequence

from data_prep.hub import NAMES, check_source, load_set
from data_prep.problems import load_problems
from data_prep.sets import SETS
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError, require
from gsr_rl.metrics.gap import MACRO


def check_benchmarks(names: Sequence[str]) -> None:
    """Each benchmark must be an evaluation set or a file that is there.

    Raises:
        UsageError: names the benchmark that is neither, or that is a training set.
    """
    for name in names:
        check_source(name, "eval.benchmarks")
        trained_on = name in SETS and SETS[name].use == "training"
        require(not trained_on, "eval.benchmarks", name, "an evaluation set, or a file; this is a training set")


def load_benchmarks(names: Sequence[str], mirror: str | None) -> list[list[Problem]]:
    """The problems of each benchmark.

    Args:
        mirror: folder that holds the named sets' files; null for the Hugging Face hub.

    Raises:
        UsageError: a benchmark cannot be loaded or read, a row of a file has no id, problem or gold answer, or two
            benchmarks have datasets of one name.
    """
    benchmarks: list[list[Problem]] = []
    origin: dict[str, str] = {}
    for name in names:
        problems = _load_named(name, mirror) if name in NAMES else load_problems(name)
        for dataset in dict.fromkeys(problem.dataset for problem in problems):
            if dataset == MACRO:
                raise UsageError(f'{name}: "{MACRO}" is the name of the mean over datasets; rename the dataset')
            if (first := origin.setdefault(dataset, name)) != name:
                hint = 'give the rows of one file another "dataset"'
                raise UsageError(f"eval.benchmarks: {first} and {name} are both called {dataset}; {hint}")
        benchmarks.append(problems)
    return benchmarks


def _load_named(name: str, mirror: str | None) -> list[Problem]:
    loaded = load_set(name, mirror=mirror)
    if loaded.left_out:
        left_out = ", ".join(f"{n} {why}" for why, n in loaded.left_out.items())
        print(f"gsr-rl eval: {name}: {loaded.rows} rows; left out: {left_out}")
    return loaded.problems
