"""What is odd in a set of problems, settled and reported: problems that are there twice, golds that conflict."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from data_prep.overlap import normal_text
from gsr_rl.episode import Problem
from rewards.answers import equivalent, parseable


@dataclass
class Settled:
    """The problems that stay, in order, and the oddities, by id.

    `duplicates` are {"kept", "dropped"}; `conflicting_golds` are {"ids", "golds"} of one text; `unreadable_golds` are
    {"id", "gold"}, which only their own spelling could match.
    """

    problems: list[Problem]
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    conflicting_golds: list[dict[str, Any]] = field(default_factory=list)
    unreadable_golds: list[dict[str, Any]] = field(default_factory=list)


def settle(problems: Sequence[Problem]) -> Settled:
    """Of problems with one text and equivalent golds the first stays; of those with conflicting golds none does, since
    nobody can tell which is right; nor does one whose gold cannot be read.

    Texts are one if they differ in spelling alone (`overlap.normal_text`).
    """
    settled = Settled([])
    same: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in tqdm(problems, desc="golds", unit=" problems", delay=2):
        if parseable(problem.gold):
            same[normal_text(problem.problem)].append(problem)
        else:
            settled.unreadable_golds.append({"id": problem.id, "gold": problem.gold})
    for first, *others in same.values():
        if all(equivalent(first.gold, other.gold) for other in others):
            settled.problems.append(first)
            settled.duplicates += [{"kept": first.id, "dropped": other.id} for other in others]
        else:
            both = [first, *others]
            golds = list(dict.fromkeys(one.gold for one in both))
            settled.conflicting_golds.append({"ids": [one.id for one in both], "golds": golds})
    return settled
