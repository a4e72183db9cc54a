"""Drop problems that occur twice, have conflicting gold answers, or have a gold answer that cannot be read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from data_prep.overlap import normal_text
from gsr_rl.episode import Problem
from rewards.answers import equivalent, parseable


@dataclass
class Deduplicated:
    """The problems that stay, in order, and a report by id on those that were dropped.

    `duplicates` holds {"kept", "dropped"}. `conflicting_golds` holds {"ids", "golds"}, one entry for each text.
    `unreadable_golds` holds {"id", "gold"}: only an answer in the very same spelling could match such a gold.
    """

    problems: list[Problem]
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    conflicting_golds: list[dict[str, Any]] = field(default_factory=list)
    unreadable_golds: list[dict[str, Any]] = field(default_factory=list)


def deduplicate(problems: Sequence[Problem]) -> Deduplicated:
    """Keep one problem for each text, if its gold answers agree.

    The first of several problems with the same text and equivalent golds stays. If their golds conflict, all of them
    are dropped, since nobody can tell which is right. A problem whose gold cannot be read is dropped too.

    Texts are the same if they differ only in spelling (`overlap.normal_text`).
    """
    result = Deduplicated([])
    by_text: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in tqdm(problems, desc="golds", unit=" problems", delay=2):
        if parseable(problem.gold):
            by_text[normal_text(problem.problem)].append(problem)
        else:
            result.unreadable_golds.append({"id": problem.id, "gold": problem.gold})
    for same_text in by_text.values():
        first, *others = same_text
        if all(equivalent(first.gold, other.gold) for other in others):
            result.problems.append(first)
            result.duplicates += [{"kept": first.id, "dropped": other.id} for other in others]
        else:
            golds = list(dict.fromkeys(problem.gold for problem in same_text))
            result.conflicting_golds.append({"ids": [problem.id for problem in same_text], "golds": golds})
    return result
